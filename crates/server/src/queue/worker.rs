//! The encoding threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use siamese_encoder::TokenizedText;

use super::encode_queue::{Encoded, QueueError, Shared};
use super::lanes::{Batch, Job, Lane};
use crate::models::{Forward, Output, Outputs};
use crate::{metrics, thread_slice};

/// What panics at once again must not take a core.
const PAUSE_AFTER_PANIC: Duration = Duration::from_millis(100);

type Pass<'a> = dyn Fn(&[&TokenizedText]) -> Outputs + 'a;

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
    shared: Arc<Shared>,
    /// Batches of queries for which one pass in the background stands still.
    max_query_batches: usize,
}

impl Worker {
    pub(super) fn new(duty: Duty, shared: Arc<Shared>, max_query_batches: usize) -> Self {
        Self {
            duty,
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
            let model = batch.jobs.first().map(|job| Arc::clone(&job.model));
            match (model, self.duty) {
                // Nobody waits for any of it any more.
                (None, _) => {}
                (Some(model), Duty::Queries) => self.encode(batch, &|texts| model.forward(texts)),
                (Some(model), Duty::Background) => self.encode_in_background(batch, &*model),
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
        let started_at = Instant::now();
        let outputs = run(&batch, forward);
        metrics::encoded_batch(
            batch.lane,
            batch.jobs.len(),
            batch.tokens(),
            started_at.elapsed(),
        );
        match outputs {
            Ok(outputs) => answer(batch.jobs, outputs, started_at),
            Err(error) => self.retry_one_by_one(batch, forward, &error),
        }
    }

    /// One text with a bad result must not fail the texts of other callers beside it.
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
fn run(batch: &Batch, forward: &Pass<'_>) -> Result<Vec<Output>, QueueError> {
    let texts: Vec<&TokenizedText> = batch.jobs.iter().map(|job| &job.text).collect();
    match catch_unwind(AssertUnwindSafe(|| forward(&texts))) {
        Ok(Ok(outputs)) if outputs.len() == texts.len() => Ok(outputs),
        Ok(Ok(_)) => Err(QueueError::Failed("it returned too little".into())),
        Ok(Err(error)) => Err(QueueError::Failed(error.to_string().into())),
        Err(_) => Err(QueueError::Failed("it panicked".into())),
    }
}

/// A receiver that is gone is a caller that hung up; nothing is owed to it.
fn answer(jobs: Vec<Job>, outputs: Vec<Output>, started_at: Instant) {
    let encoding = started_at.elapsed();
    for (job, output) in jobs.into_iter().zip(outputs) {
        let queued = started_at.duration_since(job.enqueued_at);
        drop(job.reply.send(Ok(Encoded {
            output,
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

    use siamese_encoder::{Encoder, EncoderOptions, InputKind};
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

        fn finish(&self, texts: &[&TokenizedText]) -> Outputs {
            let tokens = texts.iter().map(|text| text.tokens_kept());
            self.done.lock().unwrap().extend(tokens.clone());
            Ok(tokens.map(|tokens| Output::Score(tokens as f32)).collect())
        }
    }

    impl Forward for Busy {
        fn forward(&self, texts: &[&TokenizedText]) -> Outputs {
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
        ) -> Outputs {
            self.next_query_comes();
            pause();
            self.finish(texts)
        }
    }

    fn encoder() -> Encoder {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../encoder/tests/fixtures/models");
        Encoder::open(&models.join("roberta"), &EncoderOptions::default()).unwrap()
    }

    fn job(encoder: &Encoder, words: usize, model: &Arc<dyn Forward>) -> (Job, Reply) {
        let (reply, receiver) = oneshot::channel();
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let text = encoder.tokenize(&"a ".repeat(words), InputKind::Query);
        let job = Job {
            text: text.unwrap(),
            model: Arc::clone(model),
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
        let shared = Arc::new(Shared::new(Lanes::new(1, MAX_QUERY_BATCHES)));
        let busy = Arc::new(Busy {
            shared: Arc::clone(&shared),
            coming: Mutex::default(),
            done: Mutex::default(),
            panics_on_queries,
        });
        let model: Arc<dyn Forward> = Arc::<Busy>::clone(&busy);
        let (bulk, bulk_reply) = job(&encoder, 20, &model);
        let bulk_tokens = bulk.text.tokens_kept();
        let queries = (0..queries).map(|_| job(&encoder, 1, &model));
        let (coming, replies): (Vec<_>, Vec<_>) = queries.unzip();
        *busy.coming.lock().unwrap() = coming;
        shared.lock().lanes.push(Lane::Bulk, bulk);
        let workers = [Duty::Queries, Duty::Background].map(|duty| {
            let worker = Worker::new(duty, Arc::clone(&shared), MAX_QUERY_BATCHES);
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
