//! Vectors of texts that are not stored.

use std::sync::Arc;

use siamese_encoder::{self as encoder, Encoder, InputKind, TokenizedText};

use super::{OverWindow, blocking_steps, in_steps};
use crate::answer::Room;
use crate::app::Engine;
use crate::error::{ApiError, ErrorCode};
use crate::queue::{Admission, Lane};
use crate::request_part::RequestPart;
use crate::telemetry::{Clock, Step};

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

impl Prompt {
    /// What texts after it are.
    pub(crate) fn kind(&self) -> InputKind {
        match self {
            Self::Of(kind) => *kind,
            Self::Named(name) if name == "query" => InputKind::Query,
            Self::Named(_) | Self::Default => InputKind::Document,
        }
    }

    /// What the encoder has by this name.
    ///
    /// # Errors
    /// 422 when it has nothing.
    pub(crate) fn text(&self, encoder: &Encoder) -> Result<String, ApiError> {
        let info = encoder.info();
        let name = match self {
            Self::Of(kind) => return Ok(encoder.prompt(*kind).to_owned()),
            Self::Named(name) => name,
            Self::Default => match &info.default_prompt_name {
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
            ApiError::about(RequestPart::PromptName, detail)
        })
    }
}

/// A text to encode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TextInput {
    /// As it is.
    Text(String),
    /// As the ids of its tokens.
    Ids(Vec<u32>),
}

impl TextInput {
    /// The text, if it is one.
    pub(crate) fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Ids(_) => None,
        }
    }

    /// Of what is to be tokenised.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Ids(_) => 0,
        }
    }

    fn as_encoder_input(&self) -> encoder::TextInput<'_> {
        match self {
            Self::Text(text) => encoder::TextInput::Text(text),
            Self::Ids(ids) => encoder::TextInput::Ids(ids),
        }
    }
}

/// Texts to encode, and how.
#[derive(Debug, Clone)]
pub(crate) struct EmbedTask {
    /// The encoder, as a request names it.
    pub(crate) model: Option<String>,
    pub(crate) texts: Vec<TextInput>,
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

/// Encodes texts, in order, and says which encoder did.
///
/// # Errors
/// 404 for an unknown model, 422 for an unknown prompt, too many dimensions or a text that is refused, 503 when the lane is
/// full, 500 when the encoder fails.
pub(crate) async fn embed_texts(
    engine: &Engine,
    task: EmbedTask,
) -> Result<(Arc<Encoder>, Vec<TextEmbedding>), ApiError> {
    let encoder = engine.models.encoder_for(task.model.as_deref()).await?;
    check_dimensions(&encoder, task.dimensions)?;
    let (dimensions, normalize) = (task.dimensions, task.normalize);
    let tokenized = tokenized(&encoder, task).await?;
    let lane = Lane::for_texts(tokenized.len());
    let embeddings = engine
        .embed_tokenized(&encoder, tokenized, lane, Admission::Refuse)
        .await?;
    let embeddings = embeddings.into_iter().map(|embedding| TextEmbedding {
        vector: shaped(embedding.vector, dimensions, normalize),
        tokens: embedding.tokens_kept,
    });
    Ok((encoder, embeddings.collect()))
}

/// The states of the tokens of texts.
#[derive(Debug)]
pub(crate) struct TokenStates {
    /// Those of all tokens of a text, one after the other.
    pub(crate) texts: Vec<Vec<f32>>,
    /// Values of a state.
    pub(crate) width: usize,
}

/// The last states of all tokens of texts, one after the other for each text, in order. They take memory
/// of `room`.
///
/// # Errors
/// As [`embed_texts`], and 422 when the answer would be over `max_response_bytes`.
pub(crate) async fn token_states(
    engine: &Engine,
    task: EmbedTask,
    room: &mut Room,
    max_response_bytes: usize,
) -> Result<TokenStates, ApiError> {
    let encoder = engine.models.encoder_for(task.model.as_deref()).await?;
    let width = encoder.state_width(task.prompt.kind());
    let tokenized = tokenized(&encoder, task).await?;
    let tokens: usize = tokenized.iter().map(TokenizedText::tokens_kept).sum();
    let bytes = tokens * width * size_of::<f32>();
    // As JSON a number takes more than as four bytes.
    if bytes > max_response_bytes {
        let detail = format!(
            "the states of {tokens} tokens take {bytes} bytes, over limits.max_response_bytes = \
             {max_response_bytes}; ask for fewer texts at once"
        );
        return Err(ApiError::new(ErrorCode::ResponseTooLarge, detail));
    }
    room.hold(bytes)?;
    let lane = Lane::for_texts(tokenized.len());
    let wanted = tokenized.into_iter().map(TokenizedText::for_token_states);
    let embeddings = engine
        .embed_tokenized(&encoder, wanted.collect(), lane, Admission::Refuse)
        .await?;
    let texts = embeddings.into_iter().map(|embedding| embedding.vector);
    Ok(TokenStates {
        texts: texts.collect(),
        width,
    })
}

async fn tokenized(
    encoder: &Arc<Encoder>,
    task: EmbedTask,
) -> Result<Vec<TokenizedText>, ApiError> {
    let encoder = Arc::clone(encoder);
    let (kind, prompt) = (task.prompt.kind(), task.prompt.text(&encoder)?);
    let EmbedTask {
        texts,
        over_window,
        pointer,
        ..
    } = task;
    let _clock = Clock::start(Step::Tokenize);
    blocking_steps(move |cancel| {
        check_token_ids(&encoder, &texts, pointer)?;
        let tokenized = in_steps(&texts, TextInput::bytes, cancel, |texts| {
            let texts: Vec<_> = texts.iter().map(TextInput::as_encoder_input).collect();
            encoder
                .tokenize_all_after(kind, &prompt, &texts, over_window.truncation())
                .map_err(ApiError::internal)
        })?;
        if over_window == OverWindow::Refuse {
            refuse_truncated(&encoder, &tokenized, pointer)?;
        }
        Ok(tokenized)
    })
    .await
}

/// Whether the encoder's tokenizer has all these tokens.
///
/// # Errors
/// 422 for one that it has not.
pub(crate) fn check_token_ids(
    encoder: &Encoder,
    texts: &[TextInput],
    pointer: &str,
) -> Result<(), ApiError> {
    for (place, text) in texts.iter().enumerate() {
        let TextInput::Ids(ids) = text else {
            continue;
        };
        if let Some(unknown) = ids.iter().find(|id| !encoder.has_token(**id)) {
            let detail = format!(
                "text {place} has the token id {unknown}, which is not one of this encoder's {} tokens. Send \
                 texts instead: LangChain does so with check_embedding_ctx_length=False",
                encoder.vocabulary_size()
            );
            return Err(ApiError::invalid(pointer, detail));
        }
    }
    Ok(())
}

fn check_dimensions(encoder: &Encoder, dimensions: Option<usize>) -> Result<(), ApiError> {
    let available = encoder.info().dimensions;
    match dimensions {
        Some(wanted) if !(1..=available).contains(&wanted) => Err(ApiError::about(
            RequestPart::Dimensions,
            format!("dimensions is {wanted}; the encoder has 1 to {available}"),
        )),
        _ => Ok(()),
    }
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
