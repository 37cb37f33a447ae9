//! What an error of the client means.

use qdrant_client::QdrantError;
use siamese_index::Error;
use tonic::{Code, Status};

/// Bytes of what the cluster said that are repeated.
const MAX_DETAIL_BYTES: usize = 400;

/// What became of a call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Whether it may succeed when it is made again, perhaps at another node.
    pub(crate) may_pass: bool,
    /// Whether it is about something that is not there.
    pub(crate) is_missing: bool,
    /// For people.
    pub(crate) detail: String,
}

impl From<QdrantError> for Failure {
    fn from(error: QdrantError) -> Self {
        match &error {
            QdrantError::ResponseError { status }
            | QdrantError::ResourceExhaustedError { status, .. } => Self::of(status),
            _ => Self {
                may_pass: matches!(error, QdrantError::Io(_)),
                is_missing: false,
                detail: shortened(&error.to_string()),
            },
        }
    }
}

impl Failure {
    fn of(status: &Status) -> Self {
        let message = status.message();
        // A shard without enough copies, and a node that cannot reach another, are internal errors.
        let may_pass = matches!(
            status.code(),
            Code::Unavailable
                | Code::DeadlineExceeded
                | Code::Cancelled
                | Code::Aborted
                | Code::ResourceExhausted
                | Code::Unknown
                | Code::Internal
        );
        let key_is_wrong = matches!(
            status.code(),
            Code::Unauthenticated | Code::PermissionDenied
        );
        let detail = match key_is_wrong {
            true => format!(
                "it refuses the key in storage.qdrant.api_key: {}",
                shortened(message)
            ),
            false => shortened(message),
        };
        Self {
            may_pass,
            is_missing: status.code() == Code::NotFound,
            detail,
        }
    }

    /// As callers are told.
    pub(crate) fn into_error(self) -> Error {
        let detail = self.detail;
        match self.may_pass || detail.contains("api_key") {
            true => Error::ClusterUnavailable { detail },
            false => Error::ClusterFailed { detail },
        }
    }
}

/// What a document, an answer or a record is that cannot be read.
pub(crate) fn unreadable(what: &str) -> Error {
    Error::ClusterFailed {
        detail: format!(
            "{what} is not as it was written; the collections of a service are changed by nobody else"
        ),
    }
}

pub(crate) fn not_supported(what: &'static str) -> Error {
    Error::NotSupportedHere { what }
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(MAX_DETAIL_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
