//! Texts to vectors through the queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use siamese_encoder::{Encoder, InputKind, TokenizedText};

use super::{blocking_steps, in_steps};
use crate::access::{charge_tokens, check_tokens, refund_tokens};
use crate::app::Engine;
use crate::error::ApiError;
use crate::metrics;
use crate::models::{Forward, Output};
use crate::queue::{Admission, Encoded, Lane, QueueError};
use crate::telemetry::{Clock, Step, timeline};

/// Beyond so many texts a request is bulk work, which the cache of queries has no use for.
const MAX_CACHED_TEXTS: usize = 64;
/// Text that is tokenised where it is, in about a tenth of a millisecond: on a busy machine, giving it to
/// another thread takes longer.
const MAX_TOKENIZED_AT_ONCE_BYTES: usize = 512;

/// A text's vector and what it took to make it.
#[derive(Debug, Clone)]
pub(crate) struct Embedding {
    pub(crate) vector: Vec<f32>,
    /// Tokens of the text, special tokens and prompt included.
    pub(crate) tokens_seen: usize,
    /// Tokens that were encoded; fewer than seen when the text passed the window.
    pub(crate) tokens_kept: usize,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) queued: Duration,
    pub(crate) encoding: Duration,
}

/// How much of a text the model has tokens for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Vocabulary {
    /// The text's own tokens, of which the model does not know the unknown ones.
    pub(crate) tokens: usize,
    pub(crate) unknown_tokens: usize,
}

impl Vocabulary {
    fn of(text: &TokenizedText) -> Self {
        Self {
            tokens: text.own_tokens(),
            unknown_tokens: text.unknown_tokens(),
        }
    }

    /// Texts like this have nearly the same vector, whatever they say.
    pub(crate) fn is_mostly_unknown(self) -> bool {
        2 * self.unknown_tokens > self.tokens
    }
}

/// That of several texts together.
impl std::iter::Sum for Vocabulary {
    fn sum<I: Iterator<Item = Self>>(texts: I) -> Self {
        texts.fold(Self::default(), |sum, text| Self {
            tokens: sum.tokens + text.tokens,
            unknown_tokens: sum.unknown_tokens + text.unknown_tokens,
        })
    }
}

impl Embedding {
    /// Whether the text passed the window.
    pub(super) fn is_truncated(&self) -> bool {
        self.tokens_seen > self.tokens_kept
    }

    /// The same, for someone who has not waited for it.
    pub(super) fn without_times(&self) -> Self {
        Self {
            queued: Duration::ZERO,
            encoding: Duration::ZERO,
            ..self.clone()
        }
    }
}

impl Engine {
    /// Encodes the texts of a query, in order. Those that were asked for before are known.
    ///
    /// # Errors
    /// As [`Self::embed`].
    pub(crate) async fn embed_asked(
        &self,
        encoder: &Arc<Encoder>,
        texts: Vec<String>,
        kind: InputKind,
        lane: Lane,
    ) -> Result<Vec<Embedding>, ApiError> {
        if texts.len() > MAX_CACHED_TEXTS {
            return self
                .embed(encoder, texts, kind, lane, Admission::Refuse)
                .await;
        }
        let id = encoder.info().id.as_str();
        let known = texts.iter().map(|text| self.cache.get(id, text, kind));
        let known: Vec<Option<Embedding>> = known.collect();
        let is_new = |(_, known): &(&String, &Option<Embedding>)| known.is_none();
        let new = texts.iter().zip(&known).filter(is_new);
        let new: Vec<String> = new.map(|(text, _)| text.clone()).collect();
        let made = self
            .embed(encoder, new.clone(), kind, lane, Admission::Refuse)
            .await?;
        for (text, embedding) in new.iter().zip(&made) {
            self.cache.put(id, text, kind, embedding);
        }
        let mut made = made.into_iter();
        let embeddings = known
            .into_iter()
            .filter_map(|known| known.or_else(|| made.next()));
        Ok(embeddings.collect())
    }

    /// Encodes texts, in order.
    ///
    /// # Errors
    /// 503 when the lane is full or the server is stopping, 429 when the tokens of the caller's key are used up, 500
    /// when the encoder fails.
    pub(super) async fn embed(
        &self,
        encoder: &Arc<Encoder>,
        texts: Vec<String>,
        kind: InputKind,
        lane: Lane,
        admission: Admission,
    ) -> Result<Vec<Embedding>, ApiError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        check_tokens()?;
        let tokenizer = Arc::clone(encoder);
        let tokenize = move |texts: &[String]| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let tokenized = tokenizer.tokenize_all(&texts, kind);
            tokenized.map_err(ApiError::internal)
        };
        let bytes: usize = texts.iter().map(String::len).sum();
        let clock = Clock::start(Step::Tokenize);
        let tokenized = if bytes <= MAX_TOKENIZED_AT_ONCE_BYTES {
            tokenize(&texts)?
        } else {
            blocking_steps(move |cancel| in_steps(&texts, String::len, cancel, tokenize)).await?
        };
        drop(clock);
        self.embed_tokenized(encoder, tokenized, lane, admission)
            .await
    }

    /// Encodes texts that have been tokenised, in order.
    ///
    /// # Errors
    /// As [`Self::embed`].
    pub(crate) async fn embed_tokenized(
        &self,
        encoder: &Arc<Encoder>,
        tokenized: Vec<TokenizedText>,
        lane: Lane,
        admission: Admission,
    ) -> Result<Vec<Embedding>, ApiError> {
        let counts: Vec<_> = tokenized
            .iter()
            .map(|text| (text.tokens_seen(), text.tokens_kept(), Vocabulary::of(text)))
            .collect();
        let model: Arc<dyn Forward> = Arc::<Encoder>::clone(encoder);
        let encoded = self.run(model, tokenized, lane, admission).await?;
        let embeddings = encoded.into_iter().zip(counts);
        let embeddings = embeddings.map(|(encoded, (seen, kept, vocabulary))| {
            let Output::Vector(vector) = encoded.output else {
                return Err(ApiError::internal("the encoder returned no vector"));
            };
            Ok(Embedding {
                vector,
                tokens_seen: seen,
                tokens_kept: kept,
                vocabulary,
                queued: encoded.queued,
                encoding: encoded.encoding,
            })
        });
        embeddings.collect()
    }

    /// Runs texts through a model, in order, and counts those that it does not read well.
    ///
    /// # Errors
    /// As [`Self::embed`].
    pub(super) async fn run(
        &self,
        model: Arc<dyn Forward>,
        texts: Vec<TokenizedText>,
        lane: Lane,
        admission: Admission,
    ) -> Result<Vec<Encoded>, ApiError> {
        metrics::truncated(texts.iter().filter(|text| text.is_truncated()).count());
        let unknown = texts.iter().map(Vocabulary::of);
        metrics::mostly_unknown(unknown.filter(|known| known.is_mostly_unknown()).count());
        // What is given up later has been paid for: it has kept its place in the queue from others.
        let tokens = texts.iter().map(TokenizedText::tokens_kept).sum();
        charge_tokens(tokens)?;
        let began_at = Instant::now();
        let encoded = self.queue.encode(model, texts, lane, admission).await;
        let encoded = encoded.map_err(|error| {
            refund_tokens(tokens);
            self.queue_error(error)
        })?;
        note_passes(lane, began_at, &encoded);
        Ok(encoded)
    }

    fn queue_error(&self, error: QueueError) -> ApiError {
        match error {
            QueueError::Full { .. } => ApiError::overloaded(error.to_string(), self.retry_after_s),
            QueueError::Closed => ApiError::not_ready("the server is stopping"),
            QueueError::Failed(cause) => ApiError::internal(cause),
        }
    }
}

/// Notes what became of the time of texts that went through a model together: until the first of them was taken up they
/// waited, and from then on they were worked on.
fn note_passes(lane: Lane, began_at: Instant, encoded: &[Encoded]) {
    let (Some(timeline), Some(queued)) = (
        timeline(),
        encoded.iter().map(|encoded| encoded.queued).min(),
    ) else {
        return;
    };
    let pass = match lane {
        Lane::Query | Lane::Bulk => Step::Encode,
        Lane::Rerank => Step::Rerank,
    };
    timeline.note(Step::Queue, began_at, queued);
    let took = began_at.elapsed().saturating_sub(queued);
    timeline.note(pass, began_at + queued, took);
}
