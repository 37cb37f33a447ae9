//! Pairs of texts to scores: tokenise off the async workers, wait in the queue.

use std::borrow::Cow;
use std::sync::Arc;

use siamese_encoder::{Reranker, TokenizedText, Truncation};
use siamese_index::{Hit, HitParts};

use super::chunking::with_title;
use super::{Cancel, TEXTS_OF_STEP, blocking_steps};
use crate::app::Engine;
use crate::backend::Reader;
use crate::error::ApiError;
use crate::models::{Forward, Output};
use crate::queue::{Admission, Lane};
use crate::request_part::RequestPart;
use crate::telemetry::{Clock, Step};

/// Texts that are tokenised together, bytes; at least one.
const MAX_PORTION_BYTES: usize = 1 << 20;

/// A query and the texts to score with it.
#[derive(Debug, Clone)]
pub(crate) struct RerankTask {
    pub(crate) query: String,
    pub(crate) texts: RerankTexts,
}

/// The texts of one query.
#[derive(Debug, Clone)]
pub(crate) enum RerankTexts {
    /// These.
    Given(Vec<String>),
    /// The best passages of hits, under their titles as they were encoded. They are read when they are
    /// tokenised.
    Hits(Arc<Reader>, Vec<Hit>),
}

/// How well a text answers a query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PairScore {
    /// As the model's head yields it.
    pub(crate) logit: f32,
    /// By the model's own activation; higher is better.
    pub(crate) score: f32,
}

/// What to do with a pair over the reranker's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OverWindow {
    /// Read as much as fits, and leave out this end.
    Cut(Truncation),
    /// Refuse the request.
    Refuse,
}

impl Default for OverWindow {
    fn default() -> Self {
        Self::Cut(Truncation::default())
    }
}

impl OverWindow {
    /// Which end of a text is left out, if any.
    pub(super) fn truncation(self) -> Truncation {
        match self {
            Self::Cut(truncation) => truncation,
            Self::Refuse => Truncation::default(),
        }
    }
}

/// Tokenised pairs, task by task.
type TokenizedTasks = Vec<Vec<TokenizedText>>;

impl Engine {
    /// Scores of all texts of all tasks, in their order. All pairs wait in the queue together.
    ///
    /// # Errors
    /// 404 without a reranker or for a name that none has, 422 for a pair that is refused, 503 when the lane is full or the
    /// server is stopping, 500 when the reranker fails.
    pub(crate) async fn rerank(
        &self,
        model: Option<&str>,
        tasks: Vec<RerankTask>,
        over_window: OverWindow,
    ) -> Result<Vec<Vec<PairScore>>, ApiError> {
        let reranker = self.models.reranker_for(model).await?;
        let tokenizer = Arc::clone(&reranker);
        let clock = Clock::start(Step::Tokenize);
        let tokenized: TokenizedTasks = blocking_steps(move |cancel| {
            let truncation = over_window.truncation();
            let tokenized = tasks
                .iter()
                .map(|task| tokenize(&tokenizer, task, truncation, cancel));
            tokenized.collect()
        })
        .await?;
        drop(clock);
        let sizes: Vec<usize> = tokenized.iter().map(Vec::len).collect();
        let pairs: Vec<TokenizedText> = tokenized.into_iter().flatten().collect();
        if over_window == OverWindow::Refuse {
            refuse_truncated(&pairs, reranker.info().max_tokens)?;
        }
        let model: Arc<dyn Forward> = Arc::<Reranker>::clone(&reranker);
        let scored = self
            .run(model, pairs, Lane::Rerank, Admission::Refuse)
            .await?;
        let mut scores = scored.into_iter().map(|pair| {
            let Output::Score(logit) = pair.output else {
                return Err(ApiError::internal("the reranker returned no logit"));
            };
            let score = reranker.score(logit);
            Ok(PairScore { logit, score })
        });
        let tasks = sizes.into_iter();
        tasks
            .map(|size| scores.by_ref().take(size).collect())
            .collect()
    }
}

fn tokenize(
    reranker: &Reranker,
    task: &RerankTask,
    truncation: Truncation,
    cancel: &Cancel,
) -> Result<Vec<TokenizedText>, ApiError> {
    let mut portion = Portion {
        reranker,
        query: &task.query,
        truncation,
        texts: Vec::new(),
        bytes: 0,
        pairs: Vec::new(),
    };
    match &task.texts {
        RerankTexts::Given(texts) => {
            for text in texts {
                cancel.step_over_text(text.len())?;
                portion.push(Cow::Borrowed(text))?;
            }
        }
        RerankTexts::Hits(collection, hits) => {
            for hit in hits {
                let text = text_of(&**collection, hit)?;
                cancel.step_over_text(text.len())?;
                portion.push(Cow::Owned(text))?;
            }
        }
    }
    portion.tokenize()?;
    Ok(portion.pairs)
}

/// Texts that are tokenised together. Of a pair no more is kept than the reranker reads, so that
/// memory is bounded by a portion of texts and not by all of them.
struct Portion<'a> {
    reranker: &'a Reranker,
    query: &'a str,
    truncation: Truncation,
    texts: Vec<Cow<'a, str>>,
    bytes: usize,
    pairs: Vec<TokenizedText>,
}

impl<'a> Portion<'a> {
    fn push(&mut self, text: Cow<'a, str>) -> Result<(), ApiError> {
        self.bytes += text.len();
        self.texts.push(text);
        if self.bytes < MAX_PORTION_BYTES && self.texts.len() < TEXTS_OF_STEP {
            return Ok(());
        }
        self.tokenize()
    }

    fn tokenize(&mut self) -> Result<(), ApiError> {
        let texts: Vec<&str> = self.texts.iter().map(|text| &**text).collect();
        let pairs = self
            .reranker
            .tokenize_pairs(self.query, &texts, self.truncation);
        self.pairs.extend(pairs.map_err(ApiError::internal)?);
        self.texts.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// Nothing is left of a document that has been replaced. Such a hit is noticed when it is laid out.
fn text_of(collection: &Reader, hit: &Hit) -> Result<String, ApiError> {
    let content = collection.read_hit(hit, &HitParts::default())?;
    Ok(content.map_or_else(String::new, |content| {
        with_title(content.title.as_deref(), &content.passage_text)
    }))
}

fn refuse_truncated(pairs: &[TokenizedText], max_tokens: usize) -> Result<(), ApiError> {
    let Some(place) = pairs.iter().position(TokenizedText::is_truncated) else {
        return Ok(());
    };
    let detail = format!(
        "query and text have {} tokens together; the reranker reads {max_tokens}, and truncate is false",
        pairs[place].tokens_seen()
    );
    Err(ApiError::about(RequestPart::Text(place), detail))
}
