//! How many items a page of a list has.

use crate::config::Limits;
use crate::error::{ApiError, ErrorCode};

/// Items of a page unless the client says otherwise.
const DEFAULT_PAGE: usize = 100;

/// Checks the `limit` of a request.
///
/// # Errors
/// 422 when it is 0, or over `limits.max_page_documents`.
pub(super) fn page_limit(limit: Option<usize>, limits: &Limits) -> Result<usize, ApiError> {
    let max = limits.max_page_documents;
    let limit = limit.unwrap_or(DEFAULT_PAGE.min(max));
    if (1..=max).contains(&limit) {
        return Ok(limit);
    }
    Err(ApiError::new(
        ErrorCode::InvalidRequest,
        format!("limit is {limit}; 1 to limits.max_page_documents = {max} are allowed"),
    ))
}
