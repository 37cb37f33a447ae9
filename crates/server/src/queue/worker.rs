//! The encoding thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use siamese_encoder::{Encoder, Reranker, TokenizedText};

use super::encode_queue::{Encoded, QueueError, Shared};
use super::lanes::{Batch, Job, Lane};
use crate::metrics;

/// The forward pass, as the queue sees it.
pub(crate) trait Forward: Send + Sync + std::fmt::Debug + 'static {
    /// One vector for each text, in order.
    ///
    /// # Errors
    /// When the encoder fails or yields a value that is not finite.
    fn forward(&self, texts: &[&TokenizedText]) -> Result<Vec<Vec<f32>>, siamese_encoder::Error>;
}

impl Forward for Encoder {
    fn forward(&self, texts: &[&TokenizedText]) -> Result<Vec<Vec<f32>>, siamese_encoder::Error> {
        self.encode_tokenized(texts)
    }
}

impl Forward for Reranker {
    /// The logit of each pair, as a vector of one value.
    fn forward(&self, texts: &[&TokenizedText]) -> Result<Vec<Vec<f32>>, siamese_encoder::Error> {
        let logits = self.logits(texts)?;
        Ok(logits.into_iter().map(|logit| vec![logit]).collect())
    }
}

/// The models behind the queue.
#[derive(Debug, Clone)]
pub(crate) struct Models {
    /// For all lanes but one.
    pub(crate) encoder: Arc<dyn Forward>,
    /// For [`Lane::Rerank`].
    pub(crate) reranker: Option<Arc<dyn Forward>>,
}

impl Models {
    fn of(&self, lane: Lane) -> Result<&dyn Forward, QueueError> {
        match lane {
            Lane::Query | Lane::Bulk => Ok(self.encoder.as_ref()),
            Lane::Rerank => self
                .reranker
                .as_deref()
                .ok_or_else(|| QueueError::Failed("there is no reranker".into())),
        }
    }
}

#[derive(Debug)]
pub(super) struct Worker {
    models: Models,
    shared: Arc<Shared>,
}

impl Worker {
    pub(super) fn new(models: Models, shared: Arc<Shared>) -> Self {
        Self { models, shared }
    }

    pub(super) fn run(self) {
        while let Some(batch) = self.next_batch() {
            self.encode(batch);
        }
    }

    /// Waits for work; `None` when the queue is closed and empty.
    fn next_batch(&self) -> Option<Batch> {
        let mut state = self.shared.lock();
        loop {
            if !state.lanes.is_empty() {
                let (batch, dropped) = state.lanes.next_batch();
                metrics::encode_dropped(dropped);
                return Some(batch);
            }
            if state.closed {
                return None;
            }
            state = self
                .shared
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn encode(&self, batch: Batch) {
        if batch.jobs.is_empty() {
            return;
        }
        let started_at = Instant::now();
        let vectors = self.forward(&batch);
        metrics::encoded_batch(
            batch.lane,
            batch.jobs.len(),
            batch.tokens(),
            started_at.elapsed(),
        );
        match vectors {
            Ok(vectors) => answer(batch.jobs, vectors, started_at),
            Err(error) => self.retry_one_by_one(batch, &error),
        }
    }

    /// One text with a bad vector must not fail the texts of other callers beside it.
    fn retry_one_by_one(&self, batch: Batch, error: &QueueError) {
        if batch.jobs.len() == 1 {
            tracing::error!(%error, "encoding failed");
            return fail(batch.jobs, error);
        }
        for job in batch.jobs {
            self.encode(Batch {
                lane: batch.lane,
                jobs: vec![job],
            });
        }
    }

    fn forward(&self, batch: &Batch) -> Result<Vec<Vec<f32>>, QueueError> {
        let texts: Vec<&TokenizedText> = batch.jobs.iter().map(|job| &job.text).collect();
        let model = self.models.of(batch.lane)?;
        let outcome = catch_unwind(AssertUnwindSafe(|| model.forward(&texts)));
        match outcome {
            Ok(Ok(vectors)) if vectors.len() == texts.len() => Ok(vectors),
            Ok(Ok(_)) => Err(QueueError::Failed("it returned too few vectors".into())),
            Ok(Err(error)) => Err(QueueError::Failed(error.to_string().into())),
            Err(_) => Err(QueueError::Failed("it panicked".into())),
        }
    }
}

/// A receiver that is gone is a caller that hung up; nothing is owed to it.
fn answer(jobs: Vec<Job>, vectors: Vec<Vec<f32>>, started_at: Instant) {
    let encoding = started_at.elapsed();
    for (job, vector) in jobs.into_iter().zip(vectors) {
        let queued = started_at.duration_since(job.enqueued_at);
        drop(job.reply.send(Ok(Encoded {
            vector,
            queued,
            encoding,
        })));
    }
}

fn fail(jobs: Vec<Job>, error: &QueueError) {
    for job in jobs {
        drop(job.reply.send(Err(error.clone())));
    }
}
