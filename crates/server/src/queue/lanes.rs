//! The waiting jobs and the choice of the next batch. No thread, no clock, no lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use siamese_encoder::TokenizedText;
use tokio::sync::oneshot;

use super::encode_queue::{Encoded, QueueError, RoomInLane};
use crate::models::Forward;

/// How urgent a text is; each urgency has a lane of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Someone waits for the answer to a query.
    Query,
    /// Pairs for the reranker; someone waits for them, too, but they are long and many.
    Rerank,
    /// Ingest and other bulk work.
    Bulk,
}

/// Requests with more texts than this are bulk work, so that they do not delay queries.
const MAX_TEXTS_IN_QUERY_LANE: usize = 16;

impl Lane {
    /// All lanes, the most urgent first.
    pub(crate) const ALL: [Self; 3] = [Self::Query, Self::Rerank, Self::Bulk];

    /// The lane for a request with so many texts.
    pub(crate) fn for_texts(texts: usize) -> Self {
        if texts > MAX_TEXTS_IN_QUERY_LANE {
            Self::Bulk
        } else {
            Self::Query
        }
    }

    /// The label of this lane in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Rerank => "rerank",
            Self::Bulk => "bulk",
        }
    }
}

/// One text that waits for a model.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) text: TokenizedText,
    /// What it goes through.
    pub(super) model: Arc<dyn Forward>,
    pub(super) enqueued_at: Instant,
    pub(super) reply: oneshot::Sender<Result<Encoded, QueueError>>,
    /// Held for as long as the text waits or is being encoded; shared by a request's texts.
    pub(super) _room: RoomInLane,
}

impl Job {
    fn tokens(&self) -> usize {
        self.text.tokens_kept()
    }

    fn is_for_model_of(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.model), Arc::as_ptr(&other.model))
    }
}

/// Texts that go through one model together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) lane: Lane,
    pub(super) jobs: Vec<Job>,
}

impl Batch {
    pub(super) fn tokens(&self) -> usize {
        self.jobs.iter().map(Job::tokens).sum()
    }
}

/// Jobs by lane.
#[derive(Debug)]
pub(super) struct Lanes {
    /// As in [`Lane::ALL`].
    lanes: [Waiting; Lane::ALL.len()],
    max_batch_tokens: usize,
    max_passed_over: usize,
}

/// The jobs of one lane.
#[derive(Debug, Default)]
struct Waiting {
    /// For each model that has any, its jobs in order of arrival. Models take turns, so that much work for one
    /// keeps none waiting.
    models: VecDeque<VecDeque<Job>>,
    /// Batches of more urgent lanes that were taken while jobs waited here.
    passed_over: usize,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    fn push(&mut self, job: Job) {
        let is_for_it = |jobs: &&mut VecDeque<Job>| {
            jobs.front()
                .is_some_and(|first| first.is_for_model_of(&job))
        };
        match self.models.iter_mut().find(is_for_it) {
            Some(jobs) => jobs.push_back(job),
            None => self.models.push_back(VecDeque::from([job])),
        }
    }

    /// Drops all jobs. Returns how many there were.
    fn clear(&mut self) -> usize {
        self.models.drain(..).map(|jobs| jobs.len()).sum()
    }

    /// Jobs of the model whose turn it is, and how many were dropped that nobody waits for.
    fn take_batch(&mut self, max_batch_tokens: usize) -> (Vec<Job>, usize) {
        let Some(mut jobs) = self.models.pop_front() else {
            return (Vec::new(), 0);
        };
        let taken = take_batch(&mut jobs, max_batch_tokens);
        if !jobs.is_empty() {
            self.models.push_back(jobs);
        }
        taken
    }
}

impl Lanes {
    /// Empty lanes. A lane is passed over by at most `max_passed_over` batches of more urgent ones
    /// in a row.
    pub(super) fn new(max_batch_tokens: usize, max_passed_over: usize) -> Self {
        Self {
            lanes: Default::default(),
            max_batch_tokens,
            max_passed_over,
        }
    }

    pub(super) fn push(&mut self, lane: Lane, job: Job) {
        self.lanes[lane as usize].push(job);
    }

    /// Drops all jobs. Returns how many there were.
    pub(super) fn clear(&mut self) -> usize {
        self.lanes.iter_mut().map(Waiting::clear).sum()
    }

    /// Whether a job waits in one of these lanes.
    pub(super) fn has_jobs(&self, among: &[Lane]) -> bool {
        among
            .iter()
            .any(|lane| !self.lanes[*lane as usize].is_empty())
    }

    /// The next batch, all of one of these lanes, which stand in the order of [`Lane::ALL`]: the
    /// most urgent one that is not empty, unless one behind it has been passed over too often.
    /// Jobs nobody waits for any more are dropped.
    /// Returns the batch and how many jobs were dropped; the batch may be empty.
    pub(super) fn next_batch(&mut self, among: &[Lane]) -> (Batch, usize) {
        let lane = self.next_lane(among);
        self.lanes[lane as usize].passed_over = 0;
        let behind = among.iter().skip_while(|other| **other != lane).skip(1);
        for lane in behind {
            let lane = &mut self.lanes[*lane as usize];
            lane.passed_over += usize::from(!lane.is_empty());
        }
        let (jobs, dropped) = self.lanes[lane as usize].take_batch(self.max_batch_tokens);
        (Batch { lane, jobs }, dropped)
    }

    fn next_lane(&self, among: &[Lane]) -> Lane {
        let waiting = |lane: &Lane| !self.lanes[*lane as usize].is_empty();
        let is_due = |lane: &Lane| self.lanes[*lane as usize].passed_over >= self.max_passed_over;
        let waiting = among.iter().copied().filter(waiting);
        let due = waiting.clone().rfind(is_due);
        due.or_else(|| waiting.into_iter().next())
            .unwrap_or(Lane::Query)
    }
}

/// Takes jobs of one model from the front until the next would pass the budget; the first is always taken.
fn take_batch(waiting: &mut VecDeque<Job>, max_batch_tokens: usize) -> (Vec<Job>, usize) {
    let (mut jobs, mut tokens, mut dropped) = (Vec::new(), 0, 0);
    while let Some(job) = waiting.pop_front() {
        if job.reply.is_closed() {
            dropped += 1;
        } else if jobs.is_empty() || tokens + job.tokens() <= max_batch_tokens {
            tokens += job.tokens();
            jobs.push(job);
        } else {
            waiting.push_front(job);
            break;
        }
    }
    (jobs, dropped)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};

    use siamese_encoder::{Encoder, EncoderOptions, InputKind};
    use tokio::sync::{Semaphore, oneshot};

    use super::*;
    use crate::models::Outputs;

    type Reply = oneshot::Receiver<Result<Encoded, QueueError>>;

    #[derive(Debug)]
    struct Idle;

    impl Forward for Idle {
        fn forward(&self, _texts: &[&TokenizedText]) -> Outputs {
            Ok(Vec::new())
        }

        fn forward_in_background(
            &self,
            _texts: &[&TokenizedText],
            _pause: &(dyn Fn() + Sync),
        ) -> Outputs {
            Ok(Vec::new())
        }
    }

    /// A text of two tokens beside the special ones.
    fn job(text: &TokenizedText) -> (Job, Reply) {
        static MODEL: OnceLock<Arc<dyn Forward>> = OnceLock::new();
        job_for(MODEL.get_or_init(|| Arc::new(Idle)), text)
    }

    fn job_for(model: &Arc<dyn Forward>, text: &TokenizedText) -> (Job, Reply) {
        let (reply, receiver) = oneshot::channel();
        let room = Arc::new(Semaphore::new(1))
            .try_acquire_many_owned(1)
            .unwrap();
        let job = Job {
            text: text.clone(),
            model: Arc::clone(model),
            enqueued_at: Instant::now(),
            reply,
            _room: Arc::new(room),
        };
        (job, receiver)
    }

    fn text() -> TokenizedText {
        let folder = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../encoder/tests/fixtures/models/bert-old-dialect"
        );
        let encoder = Encoder::open(folder.as_ref(), &EncoderOptions::default()).unwrap();
        encoder.tokenize("rain", InputKind::Query).unwrap()
    }

    /// The lanes of the batches that are taken while `jobs` wait, one job a batch.
    fn order(jobs: &[(Lane, usize)], max_passed_over: usize) -> Vec<Lane> {
        let (text, mut lanes) = (text(), Lanes::new(1, max_passed_over));
        let mut receivers = Vec::new();
        for (lane, count) in jobs {
            for _ in 0..*count {
                let (job, receiver) = job(&text);
                lanes.push(*lane, job);
                receivers.push(receiver);
            }
        }
        let mut order = Vec::new();
        while lanes.has_jobs(&Lane::ALL) {
            let (batch, dropped) = lanes.next_batch(&Lane::ALL);
            assert_eq!((batch.jobs.len(), dropped), (1, 0));
            order.push(batch.lane);
        }
        order
    }

    #[test]
    fn the_most_urgent_lane_goes_first() {
        use Lane::{Bulk, Query, Rerank};
        let jobs = [(Bulk, 2), (Rerank, 1), (Query, 2)];
        assert_eq!(order(&jobs, 9), [Query, Query, Rerank, Bulk, Bulk]);
    }

    #[test]
    fn no_lane_is_passed_over_for_ever() {
        use Lane::{Bulk, Query, Rerank};
        let jobs = [(Query, 6), (Rerank, 2), (Bulk, 1)];
        let expected = [
            Query, Query, Bulk, Rerank, Query, Query, Rerank, Query, Query,
        ];
        assert_eq!(order(&jobs, 2), expected);
    }

    #[test]
    fn a_batch_holds_jobs_of_one_lane_and_none_that_nobody_waits_for() {
        let (text, mut lanes) = (text(), Lanes::new(1000, 8));
        let (kept, _kept_reply) = job(&text);
        let (left, left_reply) = job(&text);
        let (other, _other_reply) = job(&text);
        drop(left_reply);
        lanes.push(Lane::Rerank, left);
        lanes.push(Lane::Rerank, kept);
        lanes.push(Lane::Bulk, other);
        let (batch, dropped) = lanes.next_batch(&Lane::ALL);
        assert_eq!(
            (batch.lane, batch.jobs.len(), dropped),
            (Lane::Rerank, 1, 1)
        );
    }

    #[test]
    fn a_batch_holds_jobs_of_one_model() {
        let (text, mut lanes) = (text(), Lanes::new(1000, 8));
        let models: [Arc<dyn Forward>; 2] = [Arc::new(Idle), Arc::new(Idle)];
        let mut replies = Vec::new();
        for model in [0, 0, 1, 0] {
            let (job, reply) = job_for(&models[model], &text);
            lanes.push(Lane::Bulk, job);
            replies.push(reply);
        }
        let batches = std::iter::from_fn(|| {
            let has_jobs = lanes.has_jobs(&Lane::ALL);
            has_jobs.then(|| lanes.next_batch(&Lane::ALL).0.jobs.len())
        });
        assert_eq!(batches.collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn much_work_for_one_model_keeps_no_other_waiting() {
        let text = text();
        let mut lanes = Lanes::new(2 * text.tokens_kept(), 8);
        let models: [Arc<dyn Forward>; 3] = [Arc::new(Idle), Arc::new(Idle), Arc::new(Idle)];
        let mut replies = Vec::new();
        let work = [(0, 9), (1, 3), (2, 1), (0, 2)];
        for (model, jobs) in work {
            for _ in 0..jobs {
                let (job, reply) = job_for(&models[model], &text);
                lanes.push(Lane::Bulk, job);
                replies.push(reply);
            }
        }
        let batches = std::iter::from_fn(|| {
            let has_jobs = lanes.has_jobs(&Lane::ALL);
            let batch = has_jobs.then(|| lanes.next_batch(&Lane::ALL).0)?;
            let is_for = |model: &&Arc<dyn Forward>| Arc::ptr_eq(model, &batch.jobs[0].model);
            let of_one = batch
                .jobs
                .iter()
                .all(|job| job.is_for_model_of(&batch.jobs[0]));
            assert!(of_one, "a batch holds the texts of two models");
            Some((
                models.iter().position(|model| is_for(&model)).unwrap(),
                batch.jobs.len(),
            ))
        });
        let expected = [
            (0, 2),
            (1, 2),
            (2, 1),
            (0, 2),
            (1, 1),
            (0, 2),
            (0, 2),
            (0, 2),
            (0, 1),
        ];
        assert_eq!(batches.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_batch_is_taken_from_no_other_lanes_than_were_asked_for() {
        let (text, mut lanes) = (text(), Lanes::new(1000, 1));
        let (query, _query_reply) = job(&text);
        let (bulk, _bulk_reply) = job(&text);
        lanes.push(Lane::Query, query);
        lanes.push(Lane::Bulk, bulk);
        let others = [Lane::Rerank, Lane::Bulk];
        assert_eq!(lanes.next_batch(&others).0.lane, Lane::Bulk);
        assert!(!lanes.has_jobs(&others) && lanes.has_jobs(&[Lane::Query]));
    }
}
