//! What an error of the client means.

use qdrant_client::QdrantError;
use siamese_index::Error;
use tonic::{Code, Status};

/// Bytes of what the cluster said that are repeated.
const MAX_DETAIL_BYTES: usize = 400;

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// For people.
    pub(crate) detail: String,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The call may succeed when it is made again, perhaps at another node.
    Passing,
    /// What it is about is not there.
    Missing,
    /// Somebody has to give the right key.
    KeyRefused,
    /// It will fail again.
    Final,
}

impl From<QdrantError> for Failure {
    fn from(error: QdrantError) -> Self {
        match &error {
            QdrantError::ResponseError { status }
            | QdrantError::ResourceExhaustedError { status, .. } => Self::of(status),
            QdrantError::Io(_) => Self::new(FailureKind::Passing, shortened(&error.to_string())),
            _ => Self::new(FailureKind::Final, shortened(&error.to_string())),
        }
    }
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, detail: String) -> Self {
        Self { kind, detail }
    }

    fn of(status: &Status) -> Self {
        let kind = match status.code() {
            // A shard without enough copies, and a node that cannot reach another, are internal errors.
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Aborted
            | Code::ResourceExhausted
            | Code::Unknown
            | Code::Internal => FailureKind::Passing,
            Code::NotFound => FailureKind::Missing,
            Code::Unauthenticated | Code::PermissionDenied => FailureKind::KeyRefused,
            _ => FailureKind::Final,
        };
        let message = shortened(status.message());
        let detail = match kind {
            FailureKind::KeyRefused => {
                format!("it refuses the key in storage.qdrant: {message}")
            }
            _ => message,
        };
        Self { kind, detail }
    }

    pub(crate) fn may_pass(&self) -> bool {
        self.kind == FailureKind::Passing
    }

    /// As callers are told.
    pub(crate) fn into_error(self) -> Error {
        let detail = self.detail;
        match self.kind {
            FailureKind::Passing | FailureKind::KeyRefused => Error::ClusterUnavailable { detail },
            FailureKind::Missing | FailureKind::Final => Error::ClusterFailed { detail },
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
