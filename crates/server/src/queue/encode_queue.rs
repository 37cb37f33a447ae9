//! The handle that requests hold: admission, waiting for vectors, giving up.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use siamese_encoder::TokenizedText;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};

use super::lanes::{Job, Lane, Lanes};
use super::worker::{Duty, Worker};
use crate::config::QueueSettings;
use crate::metrics;
use crate::models::{Forward, Output};

/// What to do when a lane is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Fail at once, so that the caller can be told to come back.
    Refuse,
    /// Wait for room; for streams, whose sender is slowed down instead.
    Wait,
}

/// What a model made of a text, and what it took.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    pub(crate) output: Output,
    /// Time in the queue.
    pub(crate) queued: Duration,
    /// Time of the forward pass that made it, shared with its batch.
    pub(crate) encoding: Duration,
}

/// Why a text got no vector.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum QueueError {
    /// The lane is full.
    #[error("{max_tokens} tokens wait in the queue's {lane} lane already")]
    Full {
        /// The lane's name.
        lane: &'static str,
        /// Its limit.
        max_tokens: usize,
    },
    /// The queue was closed while the text waited.
    #[error("the encoder is stopping")]
    Closed,
    /// The forward pass failed.
    #[error("the encoder failed: {0}")]
    Failed(Arc<str>),
}

/// A share of a lane's tokens, given back when the last clone is dropped.
pub(super) type RoomInLane = Arc<OwnedSemaphorePermit>;

/// The encoder's queue. Cloning is cheap; all clones are one queue.
#[derive(Debug, Clone)]
pub(crate) struct EncodeQueue {
    shared: Arc<Shared>,
    query_room: LaneRoom,
    rerank_room: LaneRoom,
    bulk_room: LaneRoom,
}

#[derive(Debug, Clone)]
struct LaneRoom {
    tokens: Arc<Semaphore>,
    max_tokens: usize,
}

/// What the handle and the worker threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// Jobs have come, or the queue was closed.
    pub(super) work: Condvar,
    /// A batch of queries is done.
    pub(super) queries_done: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) lanes: Lanes,
    pub(super) closed: bool,
    /// Whether a batch of queries is being encoded.
    pub(super) encodes_queries: bool,
    /// Batches of queries that have been encoded.
    pub(super) query_batches: usize,
}

/// The threads that encode.
#[derive(Debug)]
#[must_use]
pub(crate) struct EncoderThreads(Vec<JoinHandle<()>>);

impl EncoderThreads {
    /// Waits for their end. Whether all ended well; a panic ends only the thread that it is in.
    pub(crate) fn join(self) -> bool {
        let panicked = self.0.into_iter().filter_map(|thread| thread.join().err());
        panicked.count() == 0
    }
}

impl State {
    /// Whether queries wait or are being encoded.
    pub(super) fn has_queries(&self) -> bool {
        self.encodes_queries || self.lanes.has_jobs(&[Lane::Query])
    }
}

impl Shared {
    /// With nothing in the lanes.
    pub(super) fn new(lanes: Lanes) -> Self {
        Self {
            state: Mutex::new(State {
                lanes,
                closed: false,
                encodes_queries: false,
                query_batches: 0,
            }),
            work: Condvar::new(),
            queries_done: Condvar::new(),
        }
    }

    /// The state, whatever a panicking thread left behind: it is consistent between statements.
    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EncodeQueue {
    /// Starts the encoding threads. They end after [`Self::abandon`].
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn start(settings: &QueueSettings) -> std::io::Result<(Self, EncoderThreads)> {
        let max_in_a_row = settings.max_query_batches_in_a_row.get();
        let lanes = Lanes::new(settings.max_batch_tokens.get(), max_in_a_row);
        let shared = Arc::new(Shared::new(lanes));
        let start = |name: &str, duty| {
            let worker = Worker::new(duty, Arc::clone(&shared), max_in_a_row);
            let thread = thread::Builder::new().name(name.to_owned());
            thread.spawn(move || worker.run())
        };
        let threads = EncoderThreads(vec![
            start("query-encoder", Duty::Queries)?,
            start("bulk-encoder", Duty::Background)?,
        ]);
        let queue = Self {
            shared,
            query_room: LaneRoom::new(settings.max_query_tokens.get()),
            rerank_room: LaneRoom::new(settings.max_rerank_tokens.get()),
            bulk_room: LaneRoom::new(settings.max_bulk_tokens.get()),
        };
        Ok((queue, threads))
    }

    /// Runs all texts through a model, or none: one full lane refuses the whole request.
    ///
    /// Dropping the future gives the work up: what has not been encoded by then never is.
    ///
    /// # Errors
    /// [`QueueError::Full`] with [`Admission::Refuse`]; otherwise what the encoder says.
    pub(crate) async fn encode(
        &self,
        model: Arc<dyn Forward>,
        texts: Vec<TokenizedText>,
        lane: Lane,
        admission: Admission,
    ) -> Result<Vec<Encoded>, QueueError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let tokens = texts.iter().map(TokenizedText::tokens_kept).sum();
        let room = self.room(lane).take(tokens, lane, admission).await?;
        let replies = self.enqueue(&model, texts, lane, &Arc::new(room))?;
        let mut encoded = Vec::with_capacity(replies.len());
        for reply in replies {
            encoded.push(reply.await.map_err(|_| QueueError::Closed)??);
        }
        Ok(encoded)
    }

    /// Takes no more work and drops what waits; its callers get [`QueueError::Closed`]. What is
    /// being encoded is finished.
    pub(crate) fn abandon(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let dropped = state.lanes.clear();
        drop(state);
        metrics::encode_dropped(dropped);
        for lane in [&self.query_room, &self.rerank_room, &self.bulk_room] {
            lane.tokens.close();
        }
        self.shared.work.notify_all();
        self.shared.queries_done.notify_all();
    }

    fn enqueue(
        &self,
        model: &Arc<dyn Forward>,
        texts: Vec<TokenizedText>,
        lane: Lane,
        room: &RoomInLane,
    ) -> Result<Vec<oneshot::Receiver<Result<Encoded, QueueError>>>, QueueError> {
        let enqueued_at = Instant::now();
        let mut state = self.shared.lock();
        if state.closed {
            return Err(QueueError::Closed);
        }
        let mut replies = Vec::with_capacity(texts.len());
        for text in texts {
            let (reply, receiver) = oneshot::channel();
            replies.push(receiver);
            state.lanes.push(
                lane,
                Job {
                    text,
                    model: Arc::clone(model),
                    enqueued_at,
                    reply,
                    _room: Arc::clone(room),
                },
            );
        }
        drop(state);
        // Each thread has lanes of its own, and waits for nothing else.
        self.shared.work.notify_all();
        Ok(replies)
    }

    fn room(&self, lane: Lane) -> &LaneRoom {
        match lane {
            Lane::Query => &self.query_room,
            Lane::Rerank => &self.rerank_room,
            Lane::Bulk => &self.bulk_room,
        }
    }

    /// Tokens that may wait or be encoded in `lane`.
    pub(crate) fn max_tokens(&self, lane: Lane) -> usize {
        self.room(lane).max_tokens
    }

    /// Tokens that wait or are being encoded in `lane`.
    pub(crate) fn waiting_tokens(&self, lane: Lane) -> usize {
        let room = self.room(lane);
        room.max_tokens - room.tokens.available_permits()
    }
}

impl LaneRoom {
    fn new(max_tokens: usize) -> Self {
        let max_tokens = max_tokens
            .min(Semaphore::MAX_PERMITS)
            .min(u32::MAX as usize);
        Self {
            tokens: Arc::new(Semaphore::new(max_tokens)),
            max_tokens,
        }
    }

    /// Room for `tokens`; a request larger than the whole lane takes the whole lane.
    async fn take(
        &self,
        tokens: usize,
        lane: Lane,
        admission: Admission,
    ) -> Result<OwnedSemaphorePermit, QueueError> {
        let permits = tokens.min(self.max_tokens) as u32;
        let semaphore = Arc::clone(&self.tokens);
        match admission {
            Admission::Wait => semaphore
                .acquire_many_owned(permits)
                .await
                .map_err(|_| QueueError::Closed),
            Admission::Refuse => semaphore.try_acquire_many_owned(permits).map_err(|error| {
                if error == TryAcquireError::Closed {
                    return QueueError::Closed;
                }
                metrics::encode_refused(lane);
                QueueError::Full {
                    lane: lane.label(),
                    max_tokens: self.max_tokens,
                }
            }),
        }
    }
}
