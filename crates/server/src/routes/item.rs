//! A text or a stored document, where a request takes either.

use serde::Deserialize;
use utoipa::ToSchema;

use super::documents::{check_id, check_text};
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::from_object_only;
use crate::service::Operand;

/// Something to compare: a text, encoded now, or a stored document's vector.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected a string, {\"text\": string} or {\"id\": string}"
)]
pub(crate) enum Item {
    /// A text.
    Plain(PlainText),
    /// A text.
    Text(TextItem),
    /// A stored document.
    Document(DocumentItem),
}

/// A text.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(min_length = 1, pattern = r"\S")]
pub(crate) struct PlainText(String);

/// A text.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct TextItem {
    #[schema(min_length = 1, pattern = r"\S")]
    pub(super) text: String,
}

/// A stored document.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct DocumentItem {
    #[schema(min_length = 1, max_length = 512)]
    id: String,
}

from_object_only!(TextItem, DocumentItem);

impl From<String> for PlainText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<PlainText> for String {
    fn from(text: PlainText) -> Self {
        text.0
    }
}

impl Item {
    /// The item within its limits; `pointer` is where it stands.
    ///
    /// # Errors
    /// 422 for an empty or long text and for an id that cannot be one.
    pub(crate) fn checked(self, limits: &Limits, pointer: &str) -> Result<Operand, ApiError> {
        match self {
            Self::Plain(PlainText(text)) => {
                check_compared_text(&text, limits, pointer)?;
                Ok(Operand::Text(text))
            }
            Self::Text(TextItem { text }) => {
                check_compared_text(&text, limits, &format!("{pointer}/text"))?;
                Ok(Operand::Text(text))
            }
            Self::Document(DocumentItem { id }) => {
                check_id(&id).map_err(|error| error.at(format!("{pointer}/id")))?;
                Ok(Operand::Document(id))
            }
        }
    }
}

/// Checks a text to compare; `pointer` is where it stands.
///
/// # Errors
/// 422 for an empty or long one.
pub(super) fn check_compared_text(
    text: &str,
    limits: &Limits,
    pointer: &str,
) -> Result<(), ApiError> {
    check_text(text, limits.max_query_bytes, "limits.max_query_bytes")
        .map_err(|error| error.at(pointer))
}
