//! Vectors of texts that are not stored.

use std::sync::Arc;

use siamese_encoder::{Encoder, InputKind, TokenizedText};

use super::{OverWindow, blocking_steps, in_steps};
use crate::app::Engine;
use crate::error::ApiError;
use crate::queue::{Admission, Lane};

/// What is put before each text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Prompt {
    /// What the model has for texts of this kind.
    Of(InputKind),
    /// The model's prompt of this name.
    Named(String),
    /// The model's default prompt, if it has one.
    Default,
}

/// Texts to encode, and how.
#[derive(Debug, Clone)]
pub(crate) struct EmbedTask {
    pub(crate) texts: Vec<String>,
    pub(crate) prompt: Prompt,
    /// Keep only the first values of each vector.
    pub(crate) dimensions: Option<usize>,
    /// Scale vectors to length 1.
    pub(crate) normalize: bool,
    /// What to do with a text over the encoder's window.
    pub(crate) over_window: OverWindow,
    /// The field of the request that holds the texts.
    pub(crate) pointer: &'static str,
}

/// A text's vector.
#[derive(Debug, Clone)]
pub(crate) struct TextEmbedding {
    pub(crate) vector: Vec<f32>,
    /// Tokens that were encoded.
    pub(crate) tokens: usize,
}

/// Encodes texts, in order.
///
/// # Errors
/// 422 for an unknown prompt, too many dimensions or a text that is refused, 503 when the lane is
/// full, 500 when the encoder fails.
pub(crate) async fn embed_texts(
    engine: &Engine,
    task: EmbedTask,
) -> Result<Vec<TextEmbedding>, ApiError> {
    let encoder = Arc::clone(&engine.encoder);
    check_dimensions(&encoder, task.dimensions)?;
    let prompt = prompt(&encoder, &task.prompt)?;
    let (texts, over_window, pointer) = (task.texts, task.over_window, task.pointer);
    let tokenized = blocking_steps(move |cancel| {
        let tokenized = in_steps(&texts, cancel, |texts| {
            encoder
                .tokenize_all_after(&prompt, texts)
                .map_err(ApiError::internal)
        })?;
        if over_window == OverWindow::Refuse {
            refuse_truncated(&encoder, &tokenized, pointer)?;
        }
        Ok(tokenized)
    })
    .await?;
    let lane = Lane::for_texts(tokenized.len());
    let embeddings = engine
        .embed_tokenized(tokenized, lane, Admission::Refuse)
        .await?;
    let embeddings = embeddings.into_iter().map(|embedding| TextEmbedding {
        vector: shaped(embedding.vector, task.dimensions, task.normalize),
        tokens: embedding.tokens_kept,
    });
    Ok(embeddings.collect())
}

fn check_dimensions(encoder: &Encoder, dimensions: Option<usize>) -> Result<(), ApiError> {
    let available = encoder.info().dimensions;
    match dimensions {
        Some(wanted) if !(1..=available).contains(&wanted) => Err(ApiError::invalid(
            "/dimensions",
            format!("dimensions is {wanted}; the encoder has 1 to {available}"),
        )),
        _ => Ok(()),
    }
}

fn prompt(encoder: &Encoder, wanted: &Prompt) -> Result<String, ApiError> {
    let info = encoder.info();
    let name = match wanted {
        Prompt::Of(kind) => return Ok(encoder.prompt(*kind).to_owned()),
        Prompt::Named(name) => name,
        Prompt::Default => match &info.default_prompt_name {
            Some(name) => name,
            None => return Ok(String::new()),
        },
    };
    info.prompts.get(name).cloned().ok_or_else(|| {
        let names: Vec<_> = info.prompts.keys().map(String::as_str).collect();
        let detail = format!(
            "the model has no prompt {name:?}; it has: {}",
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        );
        ApiError::invalid("/prompt_name", detail)
    })
}

fn refuse_truncated(
    encoder: &Encoder,
    texts: &[TokenizedText],
    pointer: &str,
) -> Result<(), ApiError> {
    let Some(place) = texts.iter().position(TokenizedText::is_truncated) else {
        return Ok(());
    };
    let detail = format!(
        "text {place} has {} tokens; the encoder reads {}, and truncate is false",
        texts[place].tokens_seen(),
        encoder.info().max_tokens
    );
    Err(ApiError::invalid(pointer, detail))
}

/// The first `dimensions` values, scaled to length 1. A shorter vector than 1e-12 is divided by
/// that, as in torch.
fn shaped(mut vector: Vec<f32>, dimensions: Option<usize>, normalize: bool) -> Vec<f32> {
    if let Some(dimensions) = dimensions {
        vector.truncate(dimensions);
    }
    if normalize {
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        let length = length.max(1e-12);
        vector.iter_mut().for_each(|value| *value /= length);
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_cut_before_it_is_scaled() {
        let vector = vec![3.0, 4.0, 12.0];
        assert_eq!(shaped(vector.clone(), Some(2), true), [0.6, 0.8]);
        assert_eq!(shaped(vector.clone(), Some(2), false), [3.0, 4.0]);
        assert_eq!(shaped(vector.clone(), None, false), vector);
        assert_eq!(shaped(vec![0.0; 2], None, true), [0.0, 0.0]);
    }
}
