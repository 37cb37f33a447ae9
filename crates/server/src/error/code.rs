//! The codes of problem documents: the one table of status and title.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// The machine-readable `code` of a problem document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorCode {
    /// The body is not JSON, or not UTF-8.
    MalformedJson,
    /// A field is missing, unknown, of the wrong type or out of range.
    InvalidRequest,
    /// A search by words in a collection whose words are not indexed.
    LexicalDisabled,
    /// Scores of this model cannot be taken apart by tokens.
    NotExplainable,
    /// The `Content-Type` is not one this route reads.
    UnsupportedMediaType,
    /// The body, or one line of it, is over its limit.
    PayloadTooLarge,
    /// The answer would be over its limit; ask for less at once.
    ResponseTooLarge,
    /// The request names no host, several, or one that cannot be read.
    BadHost,
    /// The service does not answer to the host that the request is for.
    HostNotAllowed,
    /// A web page of another site may not change anything.
    OriginNotAllowed,
    /// The service asks for a key, and the request has none.
    KeyMissing,
    /// The key is not known here.
    KeyInvalid,
    /// The time of the key is over.
    KeyExpired,
    /// The key stands in the address, where it ends up in logs.
    KeyInAddress,
    /// The key does not have the scope that the route needs.
    ScopeMissing,
    /// The key is not for this collection, or not for all of them.
    CollectionNotPermitted,
    /// The requests or the tokens of the key are used up; try again after `Retry-After` seconds.
    BudgetExceeded,
    /// No such route.
    NotFound,
    /// No such document in the collection.
    DocumentNotFound,
    /// No such collection.
    CollectionNotFound,
    /// No such model.
    ModelNotFound,
    /// The service was started without a folder for trained models.
    TrainingDisabled,
    /// The service was started without a reranker.
    RerankerNotFound,
    /// No such snapshot.
    SnapshotNotFound,
    /// No such job.
    JobNotFound,
    /// No such generation of the collection.
    GenerationNotFound,
    /// No such alias.
    AliasNotFound,
    /// The cursor is kept no more; search again from the first page.
    CursorExpired,
    /// The route exists, but not with this method.
    MethodNotAllowed,
    /// The collection exists with other settings.
    Conflict,
    /// The client took too long to send its request, or the answer took too long.
    Timeout,
    /// The body came more slowly than the service waits for.
    BodyTooSlow,
    /// Too much work is waiting; try again after `Retry-After` seconds.
    Overloaded,
    /// A model cannot be opened now, or the encoder of a collection is not among the settings.
    ModelUnavailable,
    /// The model and the index are still being loaded, or the server is stopping.
    NotReady,
    /// The disk has too little free space for a write; reads still work.
    StorageFull,
    /// The data takes as much memory as it may, and reads and deletions still work; or a training does.
    MemoryFull,
    /// The disk failed during a write, and nothing is written until a restart; reads still work.
    StorageFailed,
    /// The data folder was moved, removed or replaced while it was in use; reads still work.
    StorageMoved,
    /// An earlier write makes no progress; try again after `Retry-After` seconds.
    StorageStalled,
    /// The backend that keeps the documents cannot do this; `GET /capabilities` lists what it cannot.
    NotSupportedHere,
    /// The cluster that keeps the documents cannot be asked now; try again after `Retry-After` seconds.
    ClusterUnavailable,
    /// A fault of the server; details are in its log.
    Internal,
}

impl ErrorCode {
    /// Every code.
    #[cfg(test)]
    pub(crate) const ALL: &[Self] = &[
        Self::MalformedJson,
        Self::InvalidRequest,
        Self::LexicalDisabled,
        Self::NotExplainable,
        Self::UnsupportedMediaType,
        Self::PayloadTooLarge,
        Self::ResponseTooLarge,
        Self::BadHost,
        Self::HostNotAllowed,
        Self::OriginNotAllowed,
        Self::KeyMissing,
        Self::KeyInvalid,
        Self::KeyExpired,
        Self::KeyInAddress,
        Self::ScopeMissing,
        Self::CollectionNotPermitted,
        Self::BudgetExceeded,
        Self::NotFound,
        Self::DocumentNotFound,
        Self::CollectionNotFound,
        Self::ModelNotFound,
        Self::TrainingDisabled,
        Self::RerankerNotFound,
        Self::SnapshotNotFound,
        Self::JobNotFound,
        Self::GenerationNotFound,
        Self::AliasNotFound,
        Self::CursorExpired,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::Timeout,
        Self::BodyTooSlow,
        Self::Overloaded,
        Self::ModelUnavailable,
        Self::NotReady,
        Self::StorageFull,
        Self::MemoryFull,
        Self::StorageFailed,
        Self::StorageMoved,
        Self::StorageStalled,
        Self::NotSupportedHere,
        Self::ClusterUnavailable,
        Self::Internal,
    ];

    /// The status of this code.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::MalformedJson | Self::BadHost | Self::KeyInAddress => StatusCode::BAD_REQUEST,
            Self::InvalidRequest
            | Self::LexicalDisabled
            | Self::NotExplainable
            | Self::ResponseTooLarge
            | Self::NotSupportedHere => StatusCode::UNPROCESSABLE_ENTITY,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HostNotAllowed => StatusCode::MISDIRECTED_REQUEST,
            Self::OriginNotAllowed
            | Self::ScopeMissing
            | Self::CollectionNotPermitted
            | Self::TrainingDisabled => StatusCode::FORBIDDEN,
            Self::KeyMissing | Self::KeyInvalid | Self::KeyExpired => StatusCode::UNAUTHORIZED,
            Self::BudgetExceeded => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound
            | Self::DocumentNotFound
            | Self::CollectionNotFound
            | Self::ModelNotFound
            | Self::RerankerNotFound
            | Self::SnapshotNotFound
            | Self::JobNotFound
            | Self::AliasNotFound
            | Self::GenerationNotFound => StatusCode::NOT_FOUND,
            Self::CursorExpired => StatusCode::GONE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Overloaded
            | Self::ModelUnavailable
            | Self::NotReady
            | Self::StorageMoved
            | Self::StorageStalled
            | Self::ClusterUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::StorageFull | Self::MemoryFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::StorageFailed | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The sentence of this code, which is the same in every case.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::MalformedJson => "The body is not valid JSON",
            Self::InvalidRequest => "The request is not valid",
            Self::LexicalDisabled => "The words of the collection are not indexed",
            Self::NotExplainable => "The scores of this model cannot be explained",
            Self::UnsupportedMediaType => "The content type is not supported",
            Self::PayloadTooLarge => "The body is too large",
            Self::ResponseTooLarge => "The answer would be too large",
            Self::BadHost => "The host is missing or not valid",
            Self::HostNotAllowed => "The service does not answer to this host",
            Self::OriginNotAllowed => "Pages of this origin may not change anything",
            Self::KeyMissing => "A key is needed",
            Self::KeyInvalid => "The key is not known",
            Self::KeyExpired => "The key has expired",
            Self::KeyInAddress => "A key does not belong into an address",
            Self::ScopeMissing => "The key does not have this scope",
            Self::CollectionNotPermitted => "The key is not for this collection",
            Self::BudgetExceeded => "The budget of the key is used up",
            Self::NotFound => "There is nothing at this address",
            Self::DocumentNotFound => "There is no such document",
            Self::CollectionNotFound => "There is no such collection",
            Self::ModelNotFound => "There is no such model",
            Self::TrainingDisabled => "The service trains no models",
            Self::RerankerNotFound => "There is no reranker",
            Self::SnapshotNotFound => "There is no such snapshot",
            Self::JobNotFound => "There is no such job",
            Self::AliasNotFound => "There is no such alias",
            Self::GenerationNotFound => "There is no such generation",
            Self::CursorExpired => "The cursor has expired",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::Conflict => "The request conflicts with what is stored",
            Self::Timeout => "The request took too long",
            Self::BodyTooSlow => "The body came too slowly",
            Self::Overloaded => "The server is busy",
            Self::ModelUnavailable => "A model cannot be used now",
            Self::NotReady => "The server is not ready",
            Self::StorageFull => "The disk is full",
            Self::MemoryFull => "The memory is full",
            Self::StorageFailed => "The disk failed",
            Self::StorageMoved => "The data folder is not in its place",
            Self::StorageStalled => "The disk does not answer",
            Self::NotSupportedHere => "The backend cannot do this",
            Self::ClusterUnavailable => "The cluster does not answer",
            Self::Internal => "The server failed",
        }
    }

    /// The code that fits a bare status made by a router or a layer.
    pub(crate) fn for_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::PayloadTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Self::Timeout,
            StatusCode::SERVICE_UNAVAILABLE => Self::Overloaded,
            status if status.is_client_error() => Self::InvalidRequest,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_error_status_and_its_own_title() {
        let titles: std::collections::BTreeSet<_> =
            ErrorCode::ALL.iter().map(|code| code.title()).collect();
        assert_eq!(titles.len(), ErrorCode::ALL.len());
        assert!(
            ErrorCode::ALL
                .iter()
                .all(|code| code.status().as_u16() >= 400)
        );
    }

    #[test]
    fn codes_are_written_in_snake_case() {
        let code = serde_json::to_value(ErrorCode::UnsupportedMediaType).unwrap();
        assert_eq!(code, "unsupported_media_type");
    }
}
