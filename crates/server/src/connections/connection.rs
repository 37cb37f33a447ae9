//! What is known about one open connection while others look at it.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering as AtomicOrdering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::limits::ConnectionLimits;
use super::pace::{Pace, PaceLimit, Verdict};
use super::peer::Peer;
use super::turns_of_bulk::Volume;
use crate::metrics::ConnectionEnd;

/// What a connection is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// All routes.
    Everything,
    /// Probes and metrics only: it is over the limits on connections.
    Probes,
}

/// What the two sides are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of the next request has come.
    Waiting { since: Instant },
    /// A request's head has begun and is not complete.
    Head { since: Instant },
    /// A request is being read, worked on, or answered.
    Exchange,
    /// All of the answer is made, and may not have been sent yet.
    Flushing,
}

/// One connection. The socket and its buffers belong to the task that drives it.
///
/// In HTTP/2, a connection has several streams. What bodies and handlers note about a connection, they note
/// about the stream of their request, which is one of these for its own.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) id: u64,
    address: IpAddr,
    pub(super) purpose: Purpose,
    /// Asks the task to drop the connection at once.
    pub(super) close: Notify,
    /// Asks the task to end the connection after the exchange in progress.
    pub(super) drain: Notify,
    is_shaking_hands: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    has_been_served: bool,
    /// The body of the request.
    upload: Pace,
    /// Everything that is written to the socket.
    download: Pace,
    /// Both together.
    volume: Volume,
    /// What is given back when the answer has been sent.
    held: Vec<OwnedSemaphorePermit>,
    /// The request's body came too slowly and was given up.
    is_upload_over: bool,
    /// All of the present request has come.
    is_request_complete: bool,
    /// Nobody will read what has not come of it.
    is_rest_unwanted: bool,
    /// Whether the connection speaks HTTP/2.
    has_streams: bool,
    /// Those with a request in progress.
    streams: Vec<Arc<Connection>>,
    /// Streams that the other side gave up, less those that came to their end.
    resets: u32,
}

/// How much a connection deserves to be closed for another one, the most deserving first.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(super) enum Dispensable {
    /// Has sent no complete request yet, since this long ago (negative, so that the oldest is first).
    Silent { minus_s: f64 },
    /// Is kept alive for a next request, since this long ago (negative).
    Idle { minus_s: f64 },
    /// Sends or reads slower than it should, at this rate.
    Slow { bytes_per_second: f64 },
    /// Has hardly had the time to send its request.
    Fresh { minus_s: f64 },
}

/// How a stream has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// All of the answer was taken.
    Answered,
    /// The other side did not want the rest, or all of it.
    GivenUp,
}

/// A handshake of TLS that has not ended.
#[derive(Debug)]
pub(super) struct HandshakeInProgress<'a>(&'a Connection);

impl Drop for HandshakeInProgress<'_> {
    fn drop(&mut self) {
        let Self(connection) = self;
        connection
            .is_shaking_hands
            .store(false, AtomicOrdering::Relaxed);
    }
}

/// Streams that a connection may give up on top of those whose answer it takes: each has cost the work
/// until then, and the next one is not refused as long as this one is in progress.
const MAX_RESETS: u32 = 200;

/// Time that a new connection has to itself to send its request.
const FRESH: Duration = Duration::from_millis(250);
/// Time that a connection over the limits has to send the head of a probe.
const PROBE_HEADER_TIMEOUT: Duration = Duration::from_secs(2);
/// Waiting after which a rate says something.
const SLOW_AFTER: Duration = Duration::from_secs(1);

impl Connection {
    pub(super) fn new(id: u64, address: IpAddr, purpose: Purpose) -> Self {
        let now = Instant::now();
        Self {
            id,
            address,
            purpose,
            close: Notify::new(),
            drain: Notify::new(),
            is_shaking_hands: AtomicBool::new(false),
            state: Mutex::new(State {
                phase: Phase::Waiting { since: now },
                has_been_served: false,
                upload: Pace::default(),
                download: Pace::default(),
                volume: Volume::new(now),
                held: Vec::new(),
                is_upload_over: false,
                is_request_complete: false,
                is_rest_unwanted: false,
                has_streams: false,
                streams: Vec::new(),
                resets: 0,
            }),
        }
    }

    /// The address at the other end.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// The caller that it counts for.
    pub(super) fn peer(&self) -> Peer {
        Peer::of(self.address)
    }

    /// Notes a request beside others of the same connection.
    pub(super) fn open_stream(&self, has_body: bool) -> Arc<Self> {
        let stream = Arc::new(Self::new(self.id, self.address, self.purpose));
        stream.begin_exchange(has_body);
        let mut state = self.lock();
        state.has_streams = true;
        state.has_been_served = true;
        state.phase = Phase::Exchange;
        state.streams.push(Arc::clone(&stream));
        stream
    }

    /// Notes that a stream has ended: after its answer, or because the other side gave it up.
    pub(super) fn close_stream(&self, stream: &Arc<Self>, end: StreamEnd) {
        let held = std::mem::take(&mut stream.lock().held);
        let mut state = self.lock();
        state.streams.retain(|other| !Arc::ptr_eq(other, stream));
        if state.streams.is_empty() {
            state.phase = Phase::Waiting {
                since: Instant::now(),
            };
        }
        state.resets = match end {
            StreamEnd::Answered => state.resets.saturating_sub(1),
            StreamEnd::GivenUp => state.resets + 1,
        };
        let is_flood = state.resets > MAX_RESETS;
        drop(state);
        drop(held);
        if is_flood {
            self.close.notify_one();
        }
    }

    /// Whether a stream's answer is not read although the others may be.
    pub(super) fn has_stalled_stream(&self, limit: &PaceLimit) -> bool {
        let streams = self.lock().streams.clone();
        let now = Instant::now();
        let has_stalled = |stream: &Arc<Self>| {
            !stream.is_receiving() && stream.lock().download.has_stalled(limit, now)
        };
        streams.iter().any(has_stalled)
    }

    /// Whether it has streams, of which each waits for its reader by itself.
    pub(super) fn has_streams(&self) -> bool {
        self.lock().has_streams
    }

    /// Whether it is over the limits on connections.
    pub(crate) fn is_for_probes(&self) -> bool {
        self.purpose == Purpose::Probes
    }

    pub(super) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// When to close the connection unless something happens; `None` while there is a request.
    pub(super) fn deadline(&self, limits: &ConnectionLimits) -> Option<(Instant, ConnectionEnd)> {
        let state = self.lock();
        let header_timeout = match self.purpose {
            Purpose::Everything => limits.header_timeout,
            Purpose::Probes => limits.header_timeout.min(PROBE_HEADER_TIMEOUT),
        };
        match state.phase {
            Phase::Waiting { since } if state.has_been_served => {
                Some((since + limits.keep_alive_timeout, ConnectionEnd::Idle))
            }
            Phase::Waiting { since } | Phase::Head { since } => {
                Some((since + header_timeout, ConnectionEnd::HeaderTimeout))
            }
            Phase::Exchange | Phase::Flushing => None,
        }
    }

    /// Bytes have come from the socket.
    pub(super) fn has_read(&self, bytes: usize) {
        let mut state = self.lock();
        state.volume.add(bytes, Instant::now());
        if state.has_streams {
            // What comes between requests may be a ping or the like.
            return;
        }
        if let Phase::Waiting { since } = state.phase {
            // A new connection has one timeout for silence and head together.
            let since = if state.has_been_served {
                Instant::now()
            } else {
                since
            };
            state.phase = Phase::Head { since };
        }
    }

    /// Bytes have come from the socket that nobody wants.
    pub(super) fn has_thrown_away(&self, bytes: usize) {
        self.lock().volume.add(bytes, Instant::now());
    }

    /// A request's head is complete.
    pub(super) fn begin_exchange(&self, has_body: bool) {
        let mut state = self.lock();
        state.phase = Phase::Exchange;
        state.has_been_served = true;
        state.upload = Pace::default();
        state.download = Pace::default();
        state.is_upload_over = false;
        state.is_request_complete = !has_body;
        state.is_rest_unwanted = false;
    }

    /// The last part of the request's body has come.
    pub(super) fn complete_request(&self) {
        self.lock().is_request_complete = true;
    }

    /// The request's body will not be read any further.
    pub(super) fn leave_rest_unread(&self) {
        self.lock().is_rest_unwanted = true;
    }

    /// Whether the handler has ended without having read all of the request.
    pub(super) fn has_unwanted_rest(&self) -> bool {
        let is_unwanted = self.lock().is_rest_unwanted;
        is_unwanted && self.has_unread_request()
    }

    /// Whether a request has come to its end and its answer has not.
    pub(super) fn owes_answer(&self) -> bool {
        let state = self.lock();
        let is_answering = matches!(state.phase, Phase::Exchange | Phase::Flushing);
        let is_complete = |stream: &Arc<Self>| stream.lock().is_request_complete;
        let has_request = state.is_request_complete || state.streams.iter().any(is_complete);
        has_request && is_answering
    }

    /// Whether the request is still coming while it is answered. Who sends need not read at the same time.
    pub(super) fn is_receiving(&self) -> bool {
        let state = self.lock();
        state.phase == Phase::Exchange && !state.is_request_complete && !state.has_streams
    }

    /// Whether something of a request has not been read, and will not be.
    pub(super) fn has_unread_request(&self) -> bool {
        let state = self.lock();
        state.has_been_served && !state.is_request_complete && !state.has_streams
    }

    /// The last part of the answer has been made.
    pub(super) fn end_answer(&self) {
        self.lock().phase = Phase::Flushing;
    }

    /// Everything that was to be written has been written.
    pub(super) fn has_flushed(&self) {
        let mut state = self.lock();
        if state.phase != Phase::Flushing {
            return;
        }
        state.phase = Phase::Waiting {
            since: Instant::now(),
        };
        let held = std::mem::take(&mut state.held);
        drop(state);
        drop(held);
    }

    /// Keeps a permit until the answer has been sent or the connection has ended.
    pub(crate) fn hold(&self, permit: OwnedSemaphorePermit) {
        self.lock().held.push(permit);
    }

    /// A part of the request's body has come.
    pub(super) fn has_received(&self, bytes: usize) {
        self.lock().upload.moved(bytes, Instant::now());
    }

    /// The service waits for the request's body.
    pub(super) fn await_upload(&self, limit: &PaceLimit) -> Verdict {
        self.lock().upload.wait(limit, Instant::now())
    }

    /// The request's body is not waited for any more.
    pub(super) fn give_up_upload(&self) {
        self.lock().is_upload_over = true;
    }

    /// Whether the body of the present request was given up because it came too slowly.
    pub(crate) fn is_upload_over(&self) -> bool {
        self.lock().is_upload_over
    }

    /// Bytes have gone to the socket.
    pub(super) fn has_sent(&self, bytes: usize) {
        let (mut state, now) = (self.lock(), Instant::now());
        state.download.moved(bytes, now);
        state.volume.add(bytes, now);
    }

    /// Notes a handshake, until what is returned is dropped.
    pub(super) fn begin_handshake(&self) -> HandshakeInProgress<'_> {
        self.is_shaking_hands.store(true, AtomicOrdering::Relaxed);
        HandshakeInProgress(self)
    }

    /// Whether it must take turns: it has moved much of late, or a handshake is to be computed.
    pub(super) fn takes_turns(&self) -> bool {
        self.is_shaking_hands.load(AtomicOrdering::Relaxed) || self.moves_much()
    }

    fn moves_much(&self) -> bool {
        self.lock().volume.is_much(Instant::now())
    }

    /// The service waits for the other side to read.
    pub(super) fn await_download(&self, limit: &PaceLimit) -> Verdict {
        self.lock().download.wait(limit, Instant::now())
    }

    /// Whether, and how much, this connection deserves to be closed for another one.
    pub(super) fn dispensable(
        &self,
        min_bytes_per_second: u64,
        now: Instant,
    ) -> Option<Dispensable> {
        let state = self.lock();
        let slow = |pace: &Pace| pace.slower_than(min_bytes_per_second, SLOW_AFTER, now);
        match state.phase {
            Phase::Waiting { since } | Phase::Head { since } => {
                let waited = now.duration_since(since);
                let minus_s = -waited.as_secs_f64();
                Some(
                    if matches!(state.phase, Phase::Waiting { .. }) && state.has_been_served {
                        Dispensable::Idle { minus_s }
                    } else if waited < FRESH {
                        Dispensable::Fresh { minus_s }
                    } else {
                        Dispensable::Silent { minus_s }
                    },
                )
            }
            Phase::Exchange if state.has_streams => {
                let streams = state.streams.iter();
                let slow = streams
                    .filter_map(|stream| stream.dispensable(min_bytes_per_second, now))
                    .filter(|how| matches!(how, Dispensable::Slow { .. }));
                slow.min_by(|one, other| one.partial_cmp(other).unwrap_or(Ordering::Equal))
            }
            Phase::Exchange | Phase::Flushing => slow(&state.upload)
                .or_else(|| slow(&state.download))
                .map(|bytes_per_second| Dispensable::Slow { bytes_per_second }),
        }
    }

    /// The state, whatever a panicking thread left behind: it is consistent between statements.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
