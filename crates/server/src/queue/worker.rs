//! The encoding thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use siamese_encoder::{Encoder, Reranker, TokenizedText};

use super::encode_queue::{Encoded, QueueError, Shared};
use super::lanes::{Batch, Job, Lane};
use crate::metrics;

/// What a forward pass yields: one vector for each text, in order.
pub(crate) type Vectors = Result<Vec<Vec<f32>>, siamese_encoder::Error>;

/// The forward pass, as the queue sees it.
pub(crate) trait Forward: Send + Sync + std::fmt::Debug + 'static {
    /// One vector for each text, in order; may call `pause` on this thread now and then.
    ///
    /// # Errors
    /// When the encoder fails or yields a value that is not finite.
    fn forward(&self, texts: &[&TokenizedText], pause: &(dyn Fn() + Sync)) -> Vectors;

    /// The same in a pause of another pass.
    ///
    /// # Errors
    /// As [`Self::forward`].
    fn forward_beside(&self, texts: &[&TokenizedText]) -> Vectors {
        self.forward(texts, &|| {})
    }
}

impl Forward for Encoder {
    fn forward(&self, texts: &[&TokenizedText], pause: &(dyn Fn() + Sync)) -> Vectors {
        self.encode_pausing(texts, pause)
    }

    fn forward_beside(&self, texts: &[&TokenizedText]) -> Vectors {
        self.encode_beside(texts)
    }
}

impl Forward for Reranker {
    /// The logit of each pair, as a vector of one value.
    fn forward(&self, texts: &[&TokenizedText], pause: &(dyn Fn() + Sync)) -> Vectors {
        let logits = self.logits_pausing(texts, pause)?;
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

type Pass<'a> = dyn Fn(&[&TokenizedText]) -> Vectors + 'a;

#[derive(Debug)]
pub(super) struct Worker {
    models: Models,
    shared: Arc<Shared>,
    /// Tokens of queries that are encoded in one pause of another pass. One thread does that while
    /// the others wait sooner or later, so longer queries are left to a pass of their own.
    max_urgent_tokens: usize,
}

impl Worker {
    pub(super) fn new(models: Models, shared: Arc<Shared>, max_urgent_tokens: usize) -> Self {
        Self {
            models,
            shared,
            max_urgent_tokens,
        }
    }

    pub(super) fn run(self) {
        while let Some(batch) = self.next_batch() {
            let lane = batch.lane;
            match self.models.of(lane) {
                Err(error) => fail(batch.jobs, &error),
                Ok(model) => self.encode(batch, &|texts| match lane {
                    Lane::Query => model.forward(texts, &|| {}),
                    Lane::Rerank | Lane::Bulk => model.forward(texts, &|| self.encode_urgent()),
                }),
            }
        }
    }

    /// Encodes the queries that have come since a pass of another lane began.
    fn encode_urgent(&self) {
        let (batch, dropped) = self.shared.lock().lanes.urgent(self.max_urgent_tokens);
        metrics::encode_dropped(dropped);
        self.encode(batch, &|texts| self.models.encoder.forward_beside(texts));
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

    fn encode(&self, batch: Batch, forward: &Pass<'_>) {
        if batch.jobs.is_empty() {
            return;
        }
        let started_at = Instant::now();
        let vectors = run(&batch, forward);
        metrics::encoded_batch(
            batch.lane,
            batch.jobs.len(),
            batch.tokens(),
            started_at.elapsed(),
        );
        match vectors {
            Ok(vectors) => answer(batch.jobs, vectors, started_at),
            Err(error) => self.retry_one_by_one(batch, forward, &error),
        }
    }

    /// One text with a bad vector must not fail the texts of other callers beside it.
    fn retry_one_by_one(&self, batch: Batch, forward: &Pass<'_>, error: &QueueError) {
        if batch.jobs.len() == 1 {
            tracing::error!(%error, "encoding failed");
            return fail(batch.jobs, error);
        }
        for job in batch.jobs {
            let (lane, jobs) = (batch.lane, vec![job]);
            self.encode(Batch { lane, jobs }, forward);
        }
    }
}

/// Runs a forward pass; a panic in it is an error.
fn run(batch: &Batch, forward: &Pass<'_>) -> Result<Vec<Vec<f32>>, QueueError> {
    let texts: Vec<&TokenizedText> = batch.jobs.iter().map(|job| &job.text).collect();
    match catch_unwind(AssertUnwindSafe(|| forward(&texts))) {
        Ok(Ok(vectors)) if vectors.len() == texts.len() => Ok(vectors),
        Ok(Ok(_)) => Err(QueueError::Failed("it returned too few vectors".into())),
        Ok(Err(error)) => Err(QueueError::Failed(error.to_string().into())),
        Err(_) => Err(QueueError::Failed("it panicked".into())),
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Condvar, Mutex};

    use siamese_encoder::{EncoderOptions, InputKind};
    use tokio::sync::{Semaphore, oneshot};

    use super::super::encode_queue::State;
    use super::super::lanes::Lanes;
    use super::*;

    const MAX_URGENT_TOKENS: usize = 16;

    type Reply = oneshot::Receiver<Result<Encoded, QueueError>>;

    /// Encodes a text to its number of tokens. Queries arrive while it works, then it pauses.
    #[derive(Debug)]
    struct Busy {
        shared: Arc<Shared>,
        arriving: Mutex<Vec<Job>>,
        /// Numbers of tokens in the order in which vectors were made.
        done: Mutex<Vec<usize>>,
        panics_beside: bool,
    }

    impl Busy {
        fn finish(&self, texts: &[&TokenizedText]) -> Vectors {
            let tokens = texts.iter().map(|text| text.tokens_kept());
            self.done.lock().unwrap().extend(tokens.clone());
            Ok(tokens.map(|tokens| vec![tokens as f32]).collect())
        }
    }

    impl Forward for Busy {
        fn forward(&self, texts: &[&TokenizedText], pause: &(dyn Fn() + Sync)) -> Vectors {
            for job in self.arriving.lock().unwrap().drain(..) {
                self.shared.lock().lanes.push(Lane::Query, job);
            }
            pause();
            self.finish(texts)
        }

        fn forward_beside(&self, texts: &[&TokenizedText]) -> Vectors {
            assert!(!self.panics_beside, "on purpose");
            self.finish(texts)
        }
    }

    fn encoder() -> Encoder {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../encoder/tests/fixtures/models");
        Encoder::open(&models.join("roberta"), &EncoderOptions::default()).unwrap()
    }

    fn job(encoder: &Encoder, words: usize) -> (Job, Reply) {
        let (reply, receiver) = oneshot::channel();
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let text = encoder.tokenize(&"a ".repeat(words), InputKind::Query);
        let job = Job {
            text: text.unwrap(),
            enqueued_at: Instant::now(),
            reply,
            _room: Arc::new(room),
        };
        (job, receiver)
    }

    /// Runs a bulk pass during which two queries arrive, until there is no work left. Returns the
    /// numbers of tokens in the order of encoding, those of the three texts, and their answers.
    fn encoded(
        query_words: [usize; 2],
        panics_beside: bool,
    ) -> (Vec<usize>, [usize; 3], [Reply; 3]) {
        let encoder = encoder();
        let (bulk, bulk_reply) = job(&encoder, 20);
        let (first, first_reply) = job(&encoder, query_words[0]);
        let (second, second_reply) = job(&encoder, query_words[1]);
        let tokens = [&bulk, &first, &second].map(|job| job.text.tokens_kept());
        let mut lanes = Lanes::new(512, 8);
        lanes.push(Lane::Bulk, bulk);
        let closed = true;
        let shared = Arc::new(Shared {
            state: Mutex::new(State { lanes, closed }),
            work: Condvar::new(),
        });
        let busy = Arc::new(Busy {
            shared: Arc::clone(&shared),
            arriving: Mutex::new(vec![first, second]),
            done: Mutex::default(),
            panics_beside,
        });
        let models = Models {
            encoder: Arc::clone(&busy) as Arc<dyn Forward>,
            reranker: None,
        };
        Worker::new(models, shared, MAX_URGENT_TOKENS).run();
        let done = busy.done.lock().unwrap().clone();
        (done, tokens, [bulk_reply, first_reply, second_reply])
    }

    fn is_encoded(mut reply: Reply) -> bool {
        reply.try_recv().unwrap().is_ok()
    }

    #[test]
    fn short_queries_are_encoded_in_a_pause_of_the_bulk_pass() {
        let (done, [bulk, first, second], replies) = encoded([3, 5], false);
        assert_eq!(done, [first, second, bulk]);
        assert!(replies.into_iter().all(is_encoded));
    }

    #[test]
    fn a_long_query_waits_for_the_end_of_the_bulk_pass() {
        let (done, [bulk, first, second], replies) = encoded([5, MAX_URGENT_TOKENS], false);
        assert!(second > MAX_URGENT_TOKENS);
        assert_eq!(done, [first, bulk, second]);
        assert!(replies.into_iter().all(is_encoded));
    }

    #[test]
    fn a_query_that_panics_in_a_pause_does_not_fail_the_bulk_pass() {
        let (done, [bulk, ..], replies) = encoded([3, MAX_URGENT_TOKENS], true);
        assert_eq!(done[0], bulk);
        assert_eq!(replies.map(is_encoded), [true, false, true]);
    }
}
