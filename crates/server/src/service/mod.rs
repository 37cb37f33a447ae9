//! Where text meets vectors: the paths of an ingest, a search and a comparison.
//!
//! Only here are index and tokenizer called, and only on blocking threads.

mod chunking;
mod embedding;
mod ingest;
mod ingest_stream;
mod lines;
mod search;
mod similarity;

pub(crate) use chunking::{
    default_chunking, default_overlap, default_passage_tokens, min_passage_tokens, window,
};
pub(crate) use embedding::Embedding;
pub(crate) use ingest::{DocumentOutcome, Warning, WriteStatus, ingest};
pub(crate) use ingest_stream::{StreamEvent, ingest_stream};
pub(crate) use search::{Choice, Found, FoundHit, Grouping, Search, SearchedFor, search};
pub(crate) use similarity::{Metric, Operand, score_pairs};

use crate::error::{ApiError, ErrorCode};

/// Runs work that may block (disk, tokenizer, scan) off the async workers.
///
/// # Errors
/// What the work returns; a panic in it is a 500.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ApiError> + Send + 'static,
{
    let span = tracing::Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(outcome) => outcome,
        Err(error) => Err(ApiError::internal(error)),
    }
}

/// What an error of the index means to a caller.
pub(crate) fn index_error(error: siamese_index::Error) -> ApiError {
    use siamese_index::Error;
    let detail = error.to_string();
    match error {
        Error::CollectionNotFound { .. } => ApiError::new(ErrorCode::CollectionNotFound, detail),
        Error::SettingsConflict { .. } | Error::Stale { .. } => {
            ApiError::new(ErrorCode::Conflict, detail)
        }
        Error::StorageFull { .. } => ApiError::new(ErrorCode::StorageFull, detail),
        Error::WritesStopped { .. } => {
            tracing::error!(%detail, "a write was refused");
            ApiError::new(ErrorCode::StorageFailed, detail)
        }
        Error::FilterTooBroad { .. } => ApiError::invalid("/filter", detail),
        Error::FacetTooBroad { place, .. } => ApiError::invalid(format!("/facets/{place}"), detail),
        error if error.is_bad_input() => ApiError::new(ErrorCode::InvalidRequest, detail),
        error => ApiError::internal(error),
    }
}
