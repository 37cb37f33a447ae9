//! Why two texts have the score that they have: what single tokens and words give to it.

mod hits;
mod passages;

use std::ops::Range;
use std::sync::Arc;

use siamese_encoder::{
    Contributions, Encoder, InputKind, PoolingMode, TracedText, VectorParts, Word, WordPair,
    best_pairs, words,
};
use siamese_index::{cosine, unit_or_zero};

use super::{Cancel, blocking_steps};
use crate::answer::Room;
use crate::app::Engine;
use crate::backend::Reader;
use crate::error::{ApiError, ErrorCode};
use crate::queue::{Admission, Lane};
use crate::request_part::RequestPart;

pub(super) use hits::{ExplainHits, explain_hits};

/// Pairs of words that are returned unless the request says otherwise.
pub(crate) const DEFAULT_PAIRS: usize = 10;
/// What the two items are called.
const NAMES: [&str; 2] = ["a", "b"];

/// One of two things to explain the score of.
#[derive(Debug, Clone)]
pub(crate) enum ExplainedItem {
    /// A text, encoded now.
    Text(String, InputKind),
    /// A passage of a stored document: this one, or the one that is nearest to the other item.
    Document {
        id: String,
        passage: Option<Range<usize>>,
    },
}

/// A pair of items to explain the score of.
#[derive(Debug, Clone)]
pub(crate) struct ExplainTask {
    pub(crate) items: [ExplainedItem; 2],
    /// Pairs of words to return.
    pub(crate) top_k: usize,
    /// Tokens that either text may have.
    pub(crate) max_tokens: usize,
}

/// A text that is explained.
#[derive(Debug, Clone)]
pub(crate) struct ExplainedText {
    /// As it is encoded.
    pub(crate) text: String,
    pub(crate) kind: InputKind,
    /// Where it is stored, if it is.
    pub(crate) passage: Option<ExplainedPassage>,
}

/// A passage of a stored document.
#[derive(Debug, Clone)]
pub(crate) struct ExplainedPassage {
    pub(crate) id: String,
    /// Its bytes in the document's text.
    pub(crate) span: Range<usize>,
    /// Where it begins in the text that is encoded, after the title.
    pub(crate) offset: usize,
    /// How many passages the document has, where its own score would be that of all.
    pub(crate) is_one_of: Option<usize>,
}

/// The score of two texts, and what it is made of.
#[derive(Debug)]
pub(crate) struct Explanation {
    /// Their cosine, as everywhere.
    pub(crate) score: f32,
    pub(crate) sides: [ExplainedSide; 2],
    /// Pairs of words, by their indexes, those that add most first.
    pub(crate) pairs: Vec<WordPair>,
    /// Sentences about what this does not explain.
    pub(crate) not_explained: Vec<String>,
}

/// One of two texts with what its parts add to the score.
#[derive(Debug, Clone)]
pub(crate) struct ExplainedSide {
    pub(crate) text: ExplainedText,
    /// Whether the text passed the encoder's window.
    pub(crate) is_truncated: bool,
    /// Its vector, token by token.
    pub(crate) tokens: VectorParts,
    pub(crate) words: Vec<Word>,
    /// What words have of its vector.
    of_words: VectorParts,
}

impl Explanation {
    /// What tokens add to the score.
    pub(crate) fn by_token(&self) -> Contributions<'_> {
        Contributions::of(&self.sides[0].tokens, &self.sides[1].tokens)
    }

    /// What words add to the score.
    pub(crate) fn by_word(&self) -> Contributions<'_> {
        Contributions::of(&self.sides[0].of_words, &self.sides[1].of_words)
    }
}

impl ExplainedSide {
    fn of(
        encoder: &Encoder,
        text: ExplainedText,
        traced: TracedText,
        states: &[f32],
    ) -> Result<Self, ApiError> {
        let is_truncated = traced.tokens.is_truncated();
        let tokens = encoder
            .vector_parts(traced, states)
            .map_err(ApiError::internal)?;
        let words = words(&text.text, tokens.sources());
        let of_words = tokens.grouped(words.iter().map(|word| word.parts.clone()));
        Ok(Self {
            text,
            is_truncated,
            tokens,
            words,
            of_words,
        })
    }
}

/// Explains the score of two items. What it works on takes memory of `room`.
///
/// # Errors
/// 404 for an unknown document, 422 for a passage that it has not, for too many tokens and for a model
/// whose vectors are no sums over tokens, 503 when the lane is full, 500 when the encoder fails.
pub(crate) async fn explain(
    engine: &Engine,
    collection: &Arc<Reader>,
    task: ExplainTask,
    room: &mut Room,
) -> Result<Explanation, ApiError> {
    let encoder = engine.models.encoder_of(&**collection).await?;
    check_explainable(&encoder)?;
    let ExplainTask {
        items,
        top_k,
        max_tokens,
    } = task;
    let texts = passages::chosen(engine, &encoder, collection, items, room).await?;
    let reader = Arc::clone(&encoder);
    let (texts, traced) = blocking_steps(move |cancel| {
        let trace = |side: usize| trace(&reader, &texts, side, max_tokens, cancel);
        let traced = [trace(0)?, trace(1)?];
        Ok((texts, traced))
    })
    .await?;
    room.hold(working_bytes(&encoder, &traced))?;
    let tokens = traced.iter().map(|text| text.tokens.clone()).collect();
    let states = engine
        .embed_tokenized(
            &encoder,
            tokens,
            Lane::for_texts(traced.len()),
            Admission::Refuse,
        )
        .await?;
    blocking_steps(move |cancel| {
        let texts = texts.into_iter().zip(traced).zip(states);
        let sides = texts.map(|((text, traced), states)| {
            cancel.long_step()?;
            ExplainedSide::of(&encoder, text, traced, &states.vector)
        });
        let sides = <[_; 2]>::try_from(sides.collect::<Result<Vec<_>, ApiError>>()?)
            .map_err(|_| ApiError::internal("the encoder returned too few states"))?;
        explanation(&encoder, sides, top_k, cancel)
    })
    .await
}

fn trace(
    encoder: &Encoder,
    texts: &[ExplainedText; 2],
    side: usize,
    max_tokens: usize,
    cancel: &Cancel,
) -> Result<TracedText, ApiError> {
    let ExplainedText { text, kind, .. } = &texts[side];
    cancel.step_over_text(text.len())?;
    let traced = encoder.trace(text, *kind).map_err(ApiError::internal)?;
    let part = RequestPart::ExplainedItem(side);
    check_tokens(NAMES[side], &traced, max_tokens, part)?;
    Ok(traced)
}

/// Whether the scores of a model can be explained.
///
/// # Errors
/// 422 when its vectors are no sums over tokens.
fn check_explainable(encoder: &Encoder) -> Result<(), ApiError> {
    let refused =
        |error: siamese_encoder::Error| ApiError::new(ErrorCode::NotExplainable, error.to_string());
    encoder.check_linear().map_err(refused)
}

fn check_tokens(
    name: &str,
    text: &TracedText,
    max_tokens: usize,
    part: RequestPart,
) -> Result<(), ApiError> {
    let tokens = text.tokens.tokens_kept();
    if tokens <= max_tokens {
        return Ok(());
    }
    let detail = format!(
        "{name} has {tokens} tokens, over limits.max_explained_tokens = {max_tokens}; give a shorter text or one \
         passage of it"
    );
    Err(ApiError::about(part, detail))
}

/// Bytes of the states of all tokens, and of what a module makes of them beside what it is made from.
fn working_bytes<'a>(encoder: &Encoder, traced: impl IntoIterator<Item = &'a TracedText>) -> usize {
    let traced = traced.into_iter();
    let tokens: usize = traced.map(|text| text.sources.len()).sum();
    let info = encoder.info();
    let kinds = [InputKind::Query, InputKind::Document];
    let states = kinds
        .map(|kind| encoder.state_width(kind))
        .into_iter()
        .max();
    let widest = (states.unwrap_or_default() * info.pooling.len()).max(info.dimensions);
    3 * tokens * widest * size_of::<f32>()
}

fn explanation(
    encoder: &Encoder,
    sides: [ExplainedSide; 2],
    top_k: usize,
    cancel: &Cancel,
) -> Result<Explanation, ApiError> {
    let [left, right] = [0, 1].map(|side| unit_or_zero(sides[side].tokens.vector()));
    let mut explanation = Explanation {
        score: cosine(&left, &right),
        not_explained: not_explained(encoder, &sides),
        pairs: Vec::new(),
        sides,
    };
    let [left, right] = &explanation.sides;
    explanation.pairs = best_pairs(
        &explanation.by_word(),
        [&left.words, &right.words],
        top_k,
        || cancel.step(),
    )?;
    Ok(explanation)
}

/// Sentences about what is beyond the sum over tokens.
fn not_explained(encoder: &Encoder, sides: &[ExplainedSide; 2]) -> Vec<String> {
    let info = encoder.info();
    let mut sentences = Vec::new();
    for (mode, place) in [
        (PoolingMode::Cls, "first"),
        (PoolingMode::LastToken, "last"),
    ] {
        if info.pooling.contains(&mode) {
            let (part, carries) = match info.pooling.len() {
                1 => ("vector", "the score"),
                _ => ("vector in part", "a part of the score"),
            };
            sentences.push(format!(
                "The model takes the state of the {place} token as its {part} ({mode} pooling), so that this \
                 token alone carries {carries}; how the other tokens shaped it is not explained"
            ));
        }
    }
    for (side, name) in sides.iter().zip(NAMES) {
        if side.is_truncated {
            let max_tokens = info.max_tokens;
            sentences.push(format!(
                "{name} is longer than the {max_tokens} tokens that the model reads; what comes after them gives \
                 nothing to the score"
            ));
        }
        if let Some(passage) = &side.text.passage
            && let Some(of) = passage.is_one_of
        {
            let id = &passage.id;
            sentences.push(format!(
                "{name} is one of {of} passages of the document {id:?}; POST /similarity compares documents by the \
                 mean of all their passages, so that its score is another one"
            ));
        }
    }
    sentences
}
