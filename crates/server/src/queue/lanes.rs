//! The waiting jobs and the choice of the next batch. No thread, no clock, no lock.

use std::collections::VecDeque;
use std::time::Instant;

use siamese_encoder::TokenizedText;
use tokio::sync::oneshot;

use super::encode_queue::{Encoded, QueueError, RoomInLane};

/// Which of the two lanes a text waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Someone waits for the answer to a question.
    Query,
    /// Ingest and other bulk work.
    Bulk,
}

impl Lane {
    /// Both lanes, for metrics.
    pub(crate) const ALL: [Self; 2] = [Self::Query, Self::Bulk];

    /// The label of this lane in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Bulk => "bulk",
        }
    }
}

/// One text that waits for its vector.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) text: TokenizedText,
    pub(super) enqueued_at: Instant,
    pub(super) reply: oneshot::Sender<Result<Encoded, QueueError>>,
    /// Held for as long as the text waits or is being encoded; shared by a request's texts.
    pub(super) _room: RoomInLane,
}

impl Job {
    fn tokens(&self) -> usize {
        self.text.tokens_kept()
    }
}

/// A batch ready to be encoded.
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

/// Jobs in order of arrival, by lane.
#[derive(Debug)]
pub(super) struct Lanes {
    query: VecDeque<Job>,
    bulk: VecDeque<Job>,
    max_batch_tokens: usize,
    max_query_batches_in_a_row: usize,
    query_batches_in_a_row: usize,
}

impl Lanes {
    pub(super) fn new(max_batch_tokens: usize, max_query_batches_in_a_row: usize) -> Self {
        Self {
            query: VecDeque::new(),
            bulk: VecDeque::new(),
            max_batch_tokens,
            max_query_batches_in_a_row,
            query_batches_in_a_row: 0,
        }
    }

    pub(super) fn push(&mut self, lane: Lane, job: Job) {
        self.lane_mut(lane).push_back(job);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.query.is_empty() && self.bulk.is_empty()
    }

    /// The next batch: queries first, but after `max_query_batches_in_a_row` of them one batch of
    /// bulk work, so that neither lane starves. Jobs nobody waits for any more are dropped.
    /// Returns the batch and how many jobs were dropped; the batch may be empty.
    pub(super) fn next_batch(&mut self) -> (Batch, usize) {
        let lane = self.next_lane();
        if lane == Lane::Query {
            self.query_batches_in_a_row += 1;
        } else {
            self.query_batches_in_a_row = 0;
        }
        let max_batch_tokens = self.max_batch_tokens;
        let (jobs, dropped) = take_batch(self.lane_mut(lane), max_batch_tokens);
        (Batch { lane, jobs }, dropped)
    }

    /// Queries that need not wait for the bulk pass under way: those at the front of their lane, if
    /// the first has at most `max_tokens`, up to `max_tokens` together. Returns them and how many
    /// jobs were dropped.
    pub(super) fn urgent(&mut self, max_tokens: usize) -> (Batch, usize) {
        let is_short = |job: &Job| job.tokens() <= max_tokens;
        let (jobs, dropped) = match self.query.front() {
            Some(job) if is_short(job) => take_batch(&mut self.query, max_tokens),
            _ => (Vec::new(), 0),
        };
        let lane = Lane::Query;
        (Batch { lane, jobs }, dropped)
    }

    fn next_lane(&self) -> Lane {
        let bulk_is_due = self.query_batches_in_a_row >= self.max_query_batches_in_a_row;
        if self.query.is_empty() || (bulk_is_due && !self.bulk.is_empty()) {
            Lane::Bulk
        } else {
            Lane::Query
        }
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut VecDeque<Job> {
        match lane {
            Lane::Query => &mut self.query,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

/// Takes jobs from the front until the next would pass the budget; the first is always taken.
fn take_batch(lane: &mut VecDeque<Job>, max_batch_tokens: usize) -> (Vec<Job>, usize) {
    let (mut jobs, mut tokens, mut dropped) = (Vec::new(), 0, 0);
    while let Some(job) = lane.pop_front() {
        if job.reply.is_closed() {
            dropped += 1;
        } else if jobs.is_empty() || tokens + job.tokens() <= max_batch_tokens {
            tokens += job.tokens();
            jobs.push(job);
        } else {
            lane.push_front(job);
            break;
        }
    }
    (jobs, dropped)
}
