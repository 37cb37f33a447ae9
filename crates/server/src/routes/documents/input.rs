//! A document as clients send it, and the checks it passes before anything is encoded.

use serde::Deserialize;
use serde_json::{Map, Value};
use siamese_index::DocumentDraft;
use utoipa::ToSchema;
use uuid::Uuid;

use super::MAX_ID_BYTES;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{JsonBody, from_object_only};

/// A document to store.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct DocumentInput {
    /// Names the document; one with this id is replaced. Without it the server makes a UUIDv7.
    #[schema(min_length = 1, max_length = 512, example = "ticket-1042")]
    id: Option<String>,
    /// Stands before the text when it is encoded.
    #[schema(max_length = 2048, example = "Cannot sign in")]
    title: Option<String>,
    /// What is encoded and searched.
    #[schema(
        min_length = 1,
        pattern = r"\S",
        example = "My password is refused since yesterday."
    )]
    text: String,
    /// Any JSON object, kept with the document.
    #[schema(value_type = Option<Object>, example = json!({"status": "open"}))]
    metadata: Option<Map<String, Value>>,
}

from_object_only!(DocumentInput);

/// A line of a stream.
impl JsonBody for DocumentInput {
    type Checked = DocumentDraft;

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        self.into_draft(limits, "")
    }
}

impl DocumentInput {
    /// Checks every field; `pointer` is where the document stands in the body.
    ///
    /// # Errors
    /// 422 with a pointer to the first field that does not fit.
    pub(super) fn into_draft(
        self,
        limits: &Limits,
        pointer: &str,
    ) -> Result<DocumentDraft, ApiError> {
        check_text(&self.text, limits.max_text_bytes, "limits.max_text_bytes")
            .map_err(|error| error.at(format!("{pointer}/text")))?;
        let title = self.title.filter(|title| !title.is_empty());
        check_title(title.as_deref(), limits)
            .map_err(|error| error.at(format!("{pointer}/title")))?;
        let metadata = self.metadata.unwrap_or_default();
        check_metadata(&metadata, limits)
            .map_err(|error| error.at(format!("{pointer}/metadata")))?;
        let id = self.id.unwrap_or_else(|| Uuid::now_v7().to_string());
        check_id(&id).map_err(|error| error.at(format!("{pointer}/id")))?;
        Ok(DocumentDraft {
            id,
            title,
            text: self.text,
            metadata,
        })
    }
}

/// A text to encode: not empty, not only blanks, within `max_bytes`.
///
/// # Errors
/// 422 that names the limit as `limit`.
pub(crate) fn check_text(text: &str, max_bytes: usize, limit: &str) -> Result<(), ApiError> {
    let blank = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    if text.is_empty() {
        return Err(ApiError::invalid("", "the text is empty"));
    }
    if text.chars().all(blank) {
        return Err(ApiError::invalid("", "the text has only blanks"));
    }
    if text.len() > max_bytes {
        let detail = format!(
            "the text has {} bytes, over {limit} = {max_bytes}",
            text.len()
        );
        return Err(ApiError::invalid("", detail));
    }
    Ok(())
}

/// An id: 1 to [`MAX_ID_BYTES`] bytes.
///
/// # Errors
/// 422.
pub(crate) fn check_id(id: &str) -> Result<(), ApiError> {
    if (1..=MAX_ID_BYTES).contains(&id.len()) {
        return Ok(());
    }
    let detail = format!(
        "the id has {} bytes; 1 to {MAX_ID_BYTES} are allowed",
        id.len()
    );
    Err(ApiError::invalid("", detail))
}

fn check_title(title: Option<&str>, limits: &Limits) -> Result<(), ApiError> {
    let (bytes, max) = (title.map_or(0, str::len), limits.max_title_bytes);
    if bytes <= max {
        return Ok(());
    }
    let detail = format!("the title has {bytes} bytes, over limits.max_title_bytes = {max}");
    Err(ApiError::invalid("", detail))
}

/// Metadata within `limits.max_metadata_bytes` of JSON.
///
/// # Errors
/// 422.
pub(super) fn check_metadata(
    metadata: &Map<String, Value>,
    limits: &Limits,
) -> Result<(), ApiError> {
    let max = limits.max_metadata_bytes;
    let bytes = serde_json::to_string(metadata).map_or(usize::MAX, |json| json.len());
    if bytes <= max {
        return Ok(());
    }
    let detail = format!("the metadata has {bytes} bytes, over limits.max_metadata_bytes = {max}");
    Err(ApiError::invalid("", detail))
}
