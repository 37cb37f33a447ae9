//! What the caller of a new generation should know about its passages.

use serde::Serialize;
use siamese_encoder::Encoder;
use siamese_index::{Chunking, PassageSize};
use utoipa::ToSchema;

use crate::app::Engine;
use crate::backend::Reader;
use crate::service::window;

/// A warning.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GenerationWarning {
    /// `passages_made_anew`: those of the active generation do not fit the new encoder's window. `smaller_window`: each text
    /// is one passage, and the new encoder reads less of it than the old one.
    #[schema(example = "smaller_window")]
    code: &'static str,
    /// A sentence with the figures.
    detail: String,
}

/// What becomes of passages that do not fit the new encoder.
pub(super) async fn warnings(
    engine: &Engine,
    active: &Reader,
    chunking: Chunking,
    encoder: &Encoder,
    gives_chunking: bool,
) -> Vec<GenerationWarning> {
    let (old, window, model) = (
        active.settings().chunking,
        window(encoder),
        &encoder.info().model,
    );
    let warning = match (passage_size(old), passage_size(chunking)) {
        (Some(old), Some(new)) if old.max_tokens > window && !gives_chunking => GenerationWarning {
            code: "passages_made_anew",
            detail: format!(
                "passages of {} tokens do not fit the window of {model}, {window} tokens; they are made anew, of up to {} tokens",
                old.max_tokens, new.max_tokens
            ),
        },
        (_, None) => {
            // Without the old encoder nobody knows what it reads.
            let before = engine.models.encoder_of(active).await;
            let before = before.map(|before| self::window(&before));
            let Some(before) = before.ok().filter(|before| *before > window) else {
                return Vec::new();
            };
            GenerationWarning {
                code: "smaller_window",
                detail: format!(
                    "each text is one passage, of which {model} reads {window} tokens, and the encoder before {before}; the job says how many are cut, and {{\"chunking\": {{\"mode\": \"sentence\"}}}} splits them"
                ),
            }
        }
        _ => return Vec::new(),
    };
    vec![warning]
}

/// How long passages may become; without a limit each text is one.
pub(super) fn passage_size(chunking: Chunking) -> Option<PassageSize> {
    match chunking {
        Chunking::Off => None,
        Chunking::Sentence(size) | Chunking::Fixed(size) | Chunking::Paragraph(size) => Some(size),
    }
}
