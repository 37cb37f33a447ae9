//! What to do with texts over the window, in the words of text-embeddings-inference.

use serde::Deserialize;
use siamese_encoder::Truncation;
use utoipa::ToSchema;

use crate::service::OverWindow;

/// Which end of a long text is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TruncationDirection {
    /// The end of the text.
    #[default]
    #[serde(alias = "Right")]
    Right,
    /// The start of the text.
    #[serde(alias = "Left")]
    Left,
}

impl TruncationDirection {
    /// What becomes of a text over the window: it is cut unless `truncate` is false.
    pub(super) fn over_window(direction: Option<Self>, truncate: Option<bool>) -> OverWindow {
        match (truncate, direction.unwrap_or_default()) {
            (Some(false), _) => OverWindow::Refuse,
            (_, Self::Right) => OverWindow::Cut(Truncation::End),
            (_, Self::Left) => OverWindow::Cut(Truncation::Start),
        }
    }
}
