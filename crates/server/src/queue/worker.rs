//! The encoding threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use siamese_encoder::{Encoder, Reranker, TokenizedText};

use super::encode_queue::{Encoded, QueueError, Shared};
use super::lanes::{Batch, Job, Lane};
use crate::{metrics, thread_slice};

/// What panics at once again must not take a core.
const PAUSE_AFTER_PANIC: Duration = Duration::from_millis(100);

/// What a forward pass yields: one vector for each text, in order.
pub(crate) type Vectors = Result<Vec<Vec<f32>>, siamese_encoder::Error>;

/// The forward pass, as the queue sees it.
pub(crate) trait Forward: Send + Sync + std::fmt::Debug + 'static {
    /// One vector for each text, in order.
    ///
    /// # Errors
    /// When the encoder fails or yields a value that is not finite.
    fn forward(&self, texts: &[&TokenizedText]) -> Vectors;

    /// The same while other passes go on; may call `pause` now and then, on any thread.
    ///
    /// # Errors
    /// As [`Self::forward`].
    fn forward_in_background(&self, texts: &[&TokenizedText], pause: &(dyn Fn() + Sync))
    -> Vectors;
}

impl Forward for Encoder {
    fn forward(&self, texts: &[&TokenizedText]) -> Vectors {
        self.encode_tokenized(texts)
    }

    fn forward_in_background(
        &self,
        texts: &[&TokenizedText],
        pause: &(dyn Fn() + Sync),
    ) -> Vectors {
        self.encode_in_background(texts, pause)
    }
}

impl Forward for Reranker {
    /// The logit of each pair, as a vector of one value.
    fn forward(&self, texts: &[&TokenizedText]) -> Vectors {
        self.logits(texts).map(as_vectors)
    }

    fn forward_in_background(
        &self,
        texts: &[&TokenizedText],
        pause: &(dyn Fn() + Sync),
    ) -> Vectors {
        self.logits_in_background(texts, pause).map(as_vectors)
    }
}

fn as_vectors(logits: Vec<f32>) -> Vec<Vec<f32>> {
    logits.into_iter().map(|logit| vec![logit]).collect()
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

/// What a thread is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// Queries, at once.
    Queries,
    /// Everything else, giving way to queries.
    Background,
}

impl Duty {
    /// The lanes that belong to it.
    fn lanes(self) -> &'static [Lane] {
        match self {
            Self::Queries => &[Lane::Query],
            Self::Background => &[Lane::Rerank, Lane::Bulk],
        }
    }
}

/// One of the encoding threads.
#[derive(Debug)]
pub(super) struct Worker {
    duty: Duty,
    models: Models,
    shared: Arc<Shared>,
    /// Batches of queries for which one pass in the background stands still.
    max_query_batches: usize,
}

impl Worker {
    pub(super) fn new(
        duty: Duty,
        models: Models,
        shared: Arc<Shared>,
        max_query_batches: usize,
    ) -> Self {
        Self {
            duty,
            models,
            shared,
            max_query_batches,
        }
    }

    /// Encodes until the queue is closed and empty. A panic beside the forward pass, whose own are
    /// errors, costs the batch that it happened in.
    pub(super) fn run(self) {
        match self.duty {
            Duty::Queries => thread_slice::prefer_promptness(),
            Duty::Background => {
                // Threads begin with the slice of the one that starts them, which may be a short one.
                thread_slice::prefer_throughput();
                siamese_index::step_back();
            }
        }
        while catch_unwind(AssertUnwindSafe(|| self.run_until_closed())).is_err() {
            tracing::error!("an encoding thread panicked; it goes on with the next batch");
            metrics::background_panicked();
            self.end_queries();
            std::thread::sleep(PAUSE_AFTER_PANIC);
        }
    }

    fn run_until_closed(&self) {
        while let Some(batch) = self.next_batch() {
            match (self.models.of(batch.lane), self.duty) {
                (Err(error), _) => fail(batch.jobs, &error),
                (Ok(model), Duty::Queries) => self.encode(batch, &|texts| model.forward(texts)),
                (Ok(model), Duty::Background) => self.encode_in_background(batch, model),
            }
            self.end_queries();
        }
    }

    fn encode_in_background(&self, batch: Batch, model: &dyn Forward) {
        let before = self.shared.lock().query_batches;
        let pause = || self.give_way(before.saturating_add(self.max_query_batches));
        pause();
        self.encode(batch, &|texts| model.forward_in_background(texts, &pause));
    }

    /// Stands still while there are queries, until `last` batches of them have been encoded.
    fn give_way(&self, last: usize) {
        let mut state = self.shared.lock();
        while state.has_queries() && state.query_batches < last {
            let woken = self.shared.queries_done.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for work; `None` when the queue is closed and empty.
    fn next_batch(&self) -> Option<Batch> {
        let mut state = self.shared.lock();
        loop {
            if state.lanes.has_jobs(self.duty.lanes()) {
                let (batch, dropped) = state.lanes.next_batch(self.duty.lanes());
                metrics::encode_dropped(dropped);
                state.encodes_queries |= self.duty == Duty::Queries;
                return Some(batch);
            }
            if state.closed {
                return None;
            }
            let woken = self.shared.work.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets those go on who gave way to the batch of queries that has been encoded.
    fn end_queries(&self) {
        if self.duty == Duty::Queries {
            let mut state = self.shared.lock();
            state.encodes_queries = false;
            state.query_batches += 1;
            drop(state);
            self.shared.queries_done.notify_all();
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
    use std::sync::Mutex;

    use siamese_encoder::{EncoderOptions, InputKind};
    use tokio::sync::{Semaphore, oneshot};

    use super::super::lanes::Lanes;
    use super::*;

    type Reply = oneshot::Receiver<Result<Encoded, QueueError>>;

    const MAX_QUERY_BATCHES: usize = 3;

    /// Encodes a text to its number of tokens. A query comes while it works in the background, and
    /// more of them come with each that is encoded.
    #[derive(Debug)]
    struct Busy {
        shared: Arc<Shared>,
        coming: Mutex<Vec<Job>>,
        /// Numbers of tokens in the order in which vectors were made.
        done: Mutex<Vec<usize>>,
        panics_on_queries: bool,
    }

    impl Busy {
        fn next_query_comes(&self) {
            if let Some(job) = self.coming.lock().unwrap().pop() {
                self.shared.lock().lanes.push(Lane::Query, job);
                self.shared.work.notify_all();
            }
        }

        fn finish(&self, texts: &[&TokenizedText]) -> Vectors {
            let tokens = texts.iter().map(|text| text.tokens_kept());
            self.done.lock().unwrap().extend(tokens.clone());
            Ok(tokens.map(|tokens| vec![tokens as f32]).collect())
        }
    }

    impl Forward for Busy {
        fn forward(&self, texts: &[&TokenizedText]) -> Vectors {
            self.next_query_comes();
            // Others get the lock and a core meanwhile, as they do during a real pass.
            std::thread::sleep(Duration::from_millis(1));
            assert!(!self.panics_on_queries, "on purpose");
            self.finish(texts)
        }

        fn forward_in_background(
            &self,
            texts: &[&TokenizedText],
            pause: &(dyn Fn() + Sync),
        ) -> Vectors {
            self.next_query_comes();
            pause();
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

    /// Runs a bulk pass of a long text beside so many queries of one word. Returns how many of them
    /// were encoded before it, and whether the bulk text and each query were answered.
    fn encoded(queries: usize, panics_on_queries: bool) -> (usize, bool, Vec<bool>) {
        let encoder = encoder();
        let (bulk, bulk_reply) = job(&encoder, 20);
        let bulk_tokens = bulk.text.tokens_kept();
        let (coming, replies): (Vec<_>, Vec<_>) = (0..queries).map(|_| job(&encoder, 1)).unzip();
        let mut lanes = Lanes::new(1, MAX_QUERY_BATCHES);
        lanes.push(Lane::Bulk, bulk);
        let shared = Arc::new(Shared::new(lanes));
        let busy = Arc::new(Busy {
            shared: Arc::clone(&shared),
            coming: Mutex::new(coming),
            done: Mutex::default(),
            panics_on_queries,
        });
        let models = Models {
            encoder: Arc::clone(&busy) as Arc<dyn Forward>,
            reranker: None,
        };
        let workers = [Duty::Queries, Duty::Background].map(|duty| {
            let (models, shared) = (models.clone(), Arc::clone(&shared));
            let worker = Worker::new(duty, models, shared, MAX_QUERY_BATCHES);
            std::thread::spawn(|| worker.run())
        });
        let is_answered = |reply: Reply| reply.blocking_recv().unwrap().is_ok();
        let (bulk, queries) = (
            is_answered(bulk_reply),
            replies.into_iter().rev().map(is_answered).collect(),
        );
        shared.lock().closed = true;
        shared.work.notify_all();
        for worker in workers {
            worker.join().unwrap();
        }
        let done = busy.done.lock().unwrap();
        let before = done.iter().take_while(|tokens| **tokens != bulk_tokens);
        (before.count(), bulk, queries)
    }

    #[test]
    fn a_query_that_comes_during_a_bulk_pass_is_encoded_before_its_end() {
        assert_eq!(encoded(1, false), (1, true, vec![true]));
    }

    #[test]
    fn a_bulk_pass_stands_still_for_a_few_batches_of_queries_only() {
        let (before, bulk, queries) = encoded(500, false);
        assert!((MAX_QUERY_BATCHES..500).contains(&before), "{before}");
        assert!(bulk && queries.into_iter().all(|query| query));
    }

    #[test]
    fn a_query_that_panics_fails_alone_and_lets_the_bulk_pass_go_on() {
        assert_eq!(encoded(2, true), (0, true, vec![false, false]));
    }
}
