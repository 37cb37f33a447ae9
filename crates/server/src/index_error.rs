//! What an error of the index means to a caller.

use siamese_index::{AliasError, Error};

use crate::error::{ApiError, ErrorCode};
use crate::request_part::RequestPart;

/// What `Retry-After` says when a snapshot was overrun by writes, seconds.
const SNAPSHOT_RETRY_AFTER_S: u64 = 60;

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::CollectionNotFound { .. } => Self::new(ErrorCode::CollectionNotFound, detail),
            Error::DocumentNotFound { .. } => Self::new(ErrorCode::DocumentNotFound, detail),
            Error::Alias(AliasError::NotFound { .. }) => {
                Self::new(ErrorCode::AliasNotFound, detail)
            }
            Error::Alias(_)
            | Error::SettingsConflict { .. }
            | Error::FeedbackFull { .. }
            | Error::OtherEncoder { .. }
            | Error::GenerationState { .. }
            | Error::TooManyGenerations { .. }
            | Error::OtherGenerations { .. }
            | Error::Stale { .. }
            | Error::TooManyCollections { .. }
            | Error::SnapshotInProgress
            | Error::TooManySnapshots { .. } => Self::new(ErrorCode::Conflict, detail),
            Error::GenerationNotFound { .. } => Self::new(ErrorCode::GenerationNotFound, detail),
            Error::SnapshotNotFound { .. } => Self::new(ErrorCode::SnapshotNotFound, detail),
            Error::SnapshotOverrun { .. } => Self::overloaded(detail, SNAPSHOT_RETRY_AFTER_S),
            Error::Cancelled => Self::not_ready("the service is stopping"),
            Error::StorageFull { .. } => Self::new(ErrorCode::StorageFull, detail),
            Error::StorageStalled { .. } => Self::storage_stalled(detail),
            Error::MemoryFull { .. } => Self::new(ErrorCode::MemoryFull, detail),
            Error::WritesStopped { .. } => {
                tracing::error!(%detail, "a write was refused");
                Self::new(ErrorCode::StorageFailed, detail)
            }
            Error::DataFolderMoved { .. } => {
                tracing::error!(%detail, "a write was refused");
                Self::new(ErrorCode::StorageMoved, detail)
            }
            Error::WordsNotIndexed { .. } => {
                Self::new(ErrorCode::LexicalDisabled, detail).at_part(RequestPart::Mode)
            }
            Error::NotSupportedHere { .. } => Self::new(ErrorCode::NotSupportedHere, detail),
            Error::ClusterUnavailable { .. } => Self::cluster_unavailable(detail),
            Error::TooManyWords { .. } => Self::about(RequestPart::Query, detail),
            Error::FilterTooBroad { .. } => Self::about(RequestPart::Filter, detail),
            Error::FacetTooBroad { place, .. } | Error::FacetTooLarge { place, .. } => {
                Self::about(RequestPart::Facet(place), detail)
            }
            error if error.is_bad_input() => Self::new(ErrorCode::InvalidRequest, detail),
            error => Self::internal(error),
        }
    }
}
