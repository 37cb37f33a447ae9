//! One text or several, as the compatible routes take them.

use serde::Deserialize;
use utoipa::ToSchema;

use super::documents::check_text;
use super::item::PlainText;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::ListLimit;

/// A text, or a list of texts. Lists of token ids are not read.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected a string or a list of strings; token ids are not read"
)]
pub(crate) enum TextList {
    /// One text.
    One(PlainText),
    /// At most `limits.max_embed_texts` texts.
    Many(Vec<PlainText>),
}

impl TextList {
    /// How long the list at `pointer` may be.
    pub(super) fn limit(pointer: &'static str, limits: &Limits) -> ListLimit {
        ListLimit {
            pointer,
            items: "texts",
            max: limits.max_embed_texts,
            limit: "limits.max_embed_texts",
        }
    }

    /// The texts within their limits; `pointer` is where the list stands.
    ///
    /// # Errors
    /// 422 for no text, or one that is blank or too long.
    pub(super) fn checked(self, limits: &Limits, pointer: &str) -> Result<Vec<String>, ApiError> {
        let (texts, is_list) = match self {
            Self::One(text) => (vec![text], false),
            Self::Many(texts) => (texts, true),
        };
        if texts.is_empty() {
            return Err(ApiError::invalid(pointer, "there are no texts"));
        }
        let texts = texts.into_iter().enumerate().map(|(place, text)| {
            let text = String::from(text);
            check_text(&text, limits.max_text_bytes, "limits.max_text_bytes").map_err(|error| {
                error.at(if is_list {
                    format!("{pointer}/{place}")
                } else {
                    pointer.to_owned()
                })
            })?;
            Ok(text)
        });
        texts.collect()
    }
}
