//! `POST /similarity/explain`: which words make two texts alike?

use std::ops::Range;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize, Serializer};
use siamese_encoder::{InputKind, TokenSource, Word, WordPair};
use utoipa::ToSchema;

use super::documents::check_id;
use super::duplicates::SpanShape;
use super::item::{PlainText, TextItem, check_compared_text};
use super::problems::{AnswerProblems, BodyProblems, DocumentProblems, EngineProblems};
use super::search::in_range;
use crate::access::CollectionName;
use crate::answer;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, from_object_only, present, whole_number};
use crate::service::{
    DEFAULT_PAIRS, ExplainTask, ExplainedItem, ExplainedSide, Explanation, blocking_steps, explain,
};

/// Two items, and what to return.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct ExplainRequest {
    /// One item.
    a: ExplainItem,
    /// The other.
    b: ExplainItem,
    /// Whether to return what each token of `a` adds together with each token of `b`. The default is false.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    matrix: Option<bool>,
    /// Pairs of words to return, those that add most; up to `limits.max_top_k`. 10 unless given.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 1000)]
    top_k: Option<usize>,
}

/// A text, a query, or a passage of a stored document.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected a string, {\"text\": string}, {\"query\": string} or {\"id\": string, \"passage\"?: {\"start\", \"end\"}}; a vector has no tokens to explain it by"
)]
pub(crate) enum ExplainItem {
    /// A text.
    Plain(PlainText),
    /// A text.
    Text(TextItem),
    /// A query.
    Query(QueryItem),
    /// A passage of a stored document.
    Document(PassageItem),
}

/// A text that is encoded as a search encodes its query: for models with prompts, it makes a difference.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct QueryItem {
    #[schema(min_length = 1, pattern = r"\S")]
    query: String,
}

/// A passage of a stored document.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct PassageItem {
    #[schema(min_length = 1, max_length = 512)]
    id: String,
    /// Which one; without it, the one that is nearest to the other item.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    passage: Option<PassageSpan>,
}

/// Where a passage is in its document's text, as hits, pairs and documents name it; bytes of UTF-8.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct PassageSpan {
    /// Its first byte.
    #[serde(deserialize_with = "whole_number")]
    #[schema(value_type = usize, minimum = 0, maximum = 4_294_967_295_u32)]
    start: Option<usize>,
    /// One after its last byte.
    #[serde(deserialize_with = "whole_number")]
    #[schema(value_type = usize, minimum = 0, maximum = 4_294_967_295_u32)]
    end: Option<usize>,
}

from_object_only!(ExplainRequest, QueryItem, PassageItem, PassageSpan);

impl JsonBody for ExplainRequest {
    /// The task, and whether the matrix is wanted.
    type Checked = (ExplainTask, bool);

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        let top_k = self.top_k.unwrap_or(DEFAULT_PAIRS.min(limits.max_top_k));
        in_range("/top_k", top_k, 1, limits.max_top_k, "limits.max_top_k")?;
        let task = ExplainTask {
            items: [self.a.checked(limits, "/a")?, self.b.checked(limits, "/b")?],
            top_k,
            max_tokens: limits.max_explained_tokens,
        };
        Ok((task, self.matrix.unwrap_or_default()))
    }
}

impl ExplainItem {
    fn checked(self, limits: &Limits, pointer: &str) -> Result<ExplainedItem, ApiError> {
        let text = |text: String, field: &str, kind| {
            check_compared_text(&text, limits, &format!("{pointer}{field}"))?;
            Ok(ExplainedItem::Text(text, kind))
        };
        match self {
            Self::Plain(plain) => text(plain.into(), "", InputKind::Document),
            Self::Text(item) => text(item.text, "/text", InputKind::Document),
            Self::Query(item) => text(item.query, "/query", InputKind::Query),
            Self::Document(PassageItem { id, passage }) => {
                check_id(&id).map_err(|error| error.at(format!("{pointer}/id")))?;
                let passage = passage.map(|span| span.checked(&format!("{pointer}/passage")));
                let passage = passage.transpose()?;
                Ok(ExplainedItem::Document { id, passage })
            }
        }
    }
}

impl PassageSpan {
    fn checked(&self, pointer: &str) -> Result<Range<usize>, ApiError> {
        match (self.start, self.end) {
            (Some(start), Some(end)) => Ok(start..end),
            _ => Err(ApiError::invalid(
                pointer,
                "a passage has a start and an end",
            )),
        }
    }
}

/// The score of two texts, and what their tokens and words give to it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainResponse {
    /// Cosine of the two texts, -1 to 1. What the tokens of `a` add is this in sum, and so is what those of `b`
    /// add, or all numbers of the matrix.
    score: f32,
    a: ExplainedSideShape,
    b: ExplainedSideShape,
    /// The pairs of words that add most, the largest first.
    pairs: Vec<WordPairShape>,
    /// What each token of `a` adds together with each token of `b`: a row for each of `a.tokens`, a column for
    /// each of `b.tokens`. With `matrix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<Vec<f32>>)]
    matrix: Option<TokenMatrix>,
    /// Sentences about what is left unexplained. That each token's state has taken in the words around it is
    /// true of every model, and not said here.
    not_explained: Vec<String>,
}

/// One of two texts with what its tokens and words add to the score.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainedSideShape {
    /// The text as it was encoded; that of a stored document has its title before the passage. All bytes are
    /// counted in it.
    text: String,
    /// The document's id, of a stored one.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Which passage of the document it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    passage: Option<SpanShape>,
    /// Where the passage begins in `text`, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    passage_offset: Option<usize>,
    /// Whether the text is longer than the model's window, so that its end has no tokens here.
    truncated: bool,
    /// Every token that was encoded.
    tokens: Vec<TokenContribution>,
    /// The words and punctuation marks of the text that were encoded. They and `rest` add up to the score.
    words: Vec<WordContribution>,
    rest: RestContribution,
}

/// What a token adds to the score.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenContribution {
    kind: TokenKind,
    /// What it stands for in the text; special tokens as the vocabulary writes them.
    text: String,
    /// Its first byte in the text, if it stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<usize>,
    /// One after its last byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<usize>,
    contribution: f32,
}

/// What a token is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenKind {
    /// The text.
    Text,
    /// The model's prompt, which stands before every text.
    Prompt,
    /// Nothing: it stands around every text.
    Special,
    /// No token: what the model's Dense modules add to every vector.
    Bias,
}

/// What a word or a punctuation mark adds to the score, with all its tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WordContribution {
    text: String,
    /// Its first byte in the text.
    start: usize,
    /// One after its last byte.
    end: usize,
    contribution: f32,
}

/// What everything that is no word adds to the score.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct RestContribution {
    /// Tokens that stand around every text.
    special: f32,
    /// The model's prompt.
    prompt: f32,
    /// What the model's Dense modules add to every vector.
    bias: f32,
}

/// A word of `a` and a word of `b`, and what they add to the score together.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WordPairShape {
    a: WordShape,
    b: WordShape,
    contribution: f32,
}

/// A word of a text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WordShape {
    text: String,
    /// Its first byte in the text.
    start: usize,
    /// One after its last byte.
    end: usize,
}

/// A matrix of which each row is computed when it is written.
#[derive(Debug)]
struct TokenMatrix(Arc<Explanation>);

impl Serialize for TokenMatrix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let contributions = self.0.by_token();
        serializer.collect_seq((0..contributions.rows()).map(|row| contributions.row(row)))
    }
}

impl ExplainResponse {
    /// With the matrix of tokens or without it.
    pub(crate) fn new(explanation: &Arc<Explanation>, with_matrix: bool) -> Self {
        let (by_token, by_word) = (explanation.by_token(), explanation.by_word());
        let [left, right] = &explanation.sides;
        let pairs = explanation.pairs.iter();
        Self {
            score: explanation.score,
            a: ExplainedSideShape::new(left, &by_token.of_left(), &by_word.of_left()),
            b: ExplainedSideShape::new(right, &by_token.of_right(), &by_word.of_right()),
            pairs: pairs
                .map(|pair| WordPairShape::new(pair, left, right))
                .collect(),
            not_explained: explanation.not_explained.clone(),
            matrix: with_matrix.then(|| TokenMatrix(Arc::clone(explanation))),
        }
    }
}

impl ExplainedSideShape {
    fn new(side: &ExplainedSide, of_tokens: &[f32], of_words: &[f32]) -> Self {
        let text = &side.text.text;
        let passage = side.text.passage.as_ref();
        let sources = side.tokens.sources().iter().zip(of_tokens);
        let words = side.words.iter().zip(of_words);
        Self {
            text: text.clone(),
            id: passage.map(|passage| passage.id.clone()),
            passage: passage.map(|passage| passage.span.clone().into()),
            passage_offset: passage.map(|passage| passage.offset),
            truncated: side.is_truncated,
            rest: RestContribution::of(sources.clone()),
            tokens: sources
                .map(|(source, contribution)| TokenContribution::new(source, text, *contribution))
                .collect(),
            words: words
                .map(|(word, contribution)| WordContribution {
                    text: text[word.span.clone()].to_owned(),
                    start: word.span.start,
                    end: word.span.end,
                    contribution: *contribution,
                })
                .collect(),
        }
    }
}

impl TokenContribution {
    fn new(source: &TokenSource, text: &str, contribution: f32) -> Self {
        let (kind, written, span) = match source {
            TokenSource::Text(span) => (TokenKind::Text, &text[span.clone()], Some(span)),
            TokenSource::Prompt(written) => (TokenKind::Prompt, written.as_str(), None),
            TokenSource::Special(written) => (TokenKind::Special, written.as_str(), None),
            TokenSource::Bias => (TokenKind::Bias, "", None),
        };
        Self {
            kind,
            text: written.to_owned(),
            start: span.map(|span| span.start),
            end: span.map(|span| span.end),
            contribution,
        }
    }
}

impl RestContribution {
    fn of<'a>(tokens: impl Iterator<Item = (&'a TokenSource, &'a f32)>) -> Self {
        tokens.fold(Self::default(), |mut rest, (source, contribution)| {
            match source {
                TokenSource::Text(_) => {}
                TokenSource::Prompt(_) => rest.prompt += contribution,
                TokenSource::Special(_) => rest.special += contribution,
                TokenSource::Bias => rest.bias += contribution,
            }
            rest
        })
    }
}

impl WordPairShape {
    fn new(pair: &WordPair, left: &ExplainedSide, right: &ExplainedSide) -> Self {
        let shape = |side: &ExplainedSide, place: usize| {
            let Word { span, .. } = &side.words[place];
            WordShape {
                text: side.text.text[span.clone()].to_owned(),
                start: span.start,
                end: span.end,
            }
        };
        Self {
            a: shape(left, pair.left),
            b: shape(right, pair.right),
            contribution: pair.contribution,
        }
    }
}

/// Explain the score of two texts: what each token and word of either adds to their cosine.
///
/// A text's vector is a sum over its tokens, so that the cosine of two is a sum over pairs of tokens: what is
/// returned is that sum, and not an estimate. Models with a non-linear Dense module are refused
/// (`not_explainable`). Texts over `limits.max_explained_tokens` are refused, those over the model's window are
/// cut as in every comparison.
#[utoipa::path(
    post, path = "/similarity/explain", operation_id = "explain_similarity", tag = "similarity",
    request_body = ExplainRequest,
    responses(
        (status = 200, body = ExplainResponse),
        BodyProblems, AnswerProblems, DocumentProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    collection: CollectionName,
    ApiJson((task, with_matrix)): ApiJson<ExplainRequest>,
) -> Result<Response, ApiError> {
    let engine = app.engine()?;
    let collection = engine.reader(&collection)?;
    let mut room = app.room();
    let explanation = explain(engine, &collection, task, &mut room).await?;
    blocking_steps(move |cancel| {
        let response = ExplainResponse::new(&Arc::new(explanation), with_matrix);
        answer::json(room.another().until(cancel), &response)
    })
    .await
}
