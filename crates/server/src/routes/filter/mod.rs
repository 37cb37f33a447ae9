//! Filters on the wire. `docs/filters.md` says what they mean.

mod reader;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::{Map, Value};
use siamese_index::Filter;
use utoipa::ToSchema;

use self::reader::FilterReader;
use crate::config::Limits;
use crate::error::ApiError;

/// Conditions on metadata: fields with what they must meet, and `$and`, `$or`, `$not`. An empty
/// one lets everything pass.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(
    title = "Filter",
    value_type = Object,
    example = json!({"status": "open", "year": {"$gte": 2020}, "lang": {"$in": ["en", "de"]}})
)]
pub(crate) struct FilterShape(Map<String, Value>);

impl FilterShape {
    /// Reads the filter that stands at `pointer` in the body.
    ///
    /// # Errors
    /// 422 with a pointer to the operator or value that does not fit, or that is over a limit.
    pub(crate) fn read(&self, limits: &Limits, pointer: &str) -> Result<Filter, ApiError> {
        if self.0.is_empty() {
            return Ok(Filter::All(Vec::new()));
        }
        FilterReader::new(limits).filter(&self.0, pointer, 1)
    }
}

/// Refuses a path or a value that is too long.
pub(super) fn check_text_bytes(text: &str, max: usize, pointer: &str) -> Result<(), ApiError> {
    if text.len() <= max {
        return Ok(());
    }
    let detail = format!(
        "the string has {} bytes, over limits.max_filter_text_bytes = {max}",
        text.len()
    );
    Err(ApiError::invalid(pointer, detail))
}
