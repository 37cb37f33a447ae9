//! What is known about one open connection while others look at it.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::limits::ConnectionLimits;
use super::pace::{Pace, PaceLimit, Verdict};
use super::peer::Peer;
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
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) id: u64,
    pub(super) peer: Peer,
    pub(super) purpose: Purpose,
    /// Asks the task to drop the connection at once.
    pub(super) close: Notify,
    /// Asks the task to end the connection after the exchange in progress.
    pub(super) drain: Notify,
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
    /// What is given back when the answer has been sent.
    held: Vec<OwnedSemaphorePermit>,
    /// The request's body came too slowly and was given up.
    is_upload_over: bool,
    /// All of the present request has come.
    is_request_complete: bool,
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

/// Time that a new connection has to itself to send its request.
const FRESH: Duration = Duration::from_millis(250);
/// Time that a connection over the limits has to send the head of a probe.
const PROBE_HEADER_TIMEOUT: Duration = Duration::from_secs(2);
/// Waiting after which a rate says something.
const SLOW_AFTER: Duration = Duration::from_secs(1);

impl Connection {
    pub(super) fn new(id: u64, address: IpAddr, purpose: Purpose) -> Self {
        Self {
            id,
            peer: Peer::of(address),
            purpose,
            close: Notify::new(),
            drain: Notify::new(),
            state: Mutex::new(State {
                phase: Phase::Waiting {
                    since: Instant::now(),
                },
                has_been_served: false,
                upload: Pace::default(),
                download: Pace::default(),
                held: Vec::new(),
                is_upload_over: false,
                is_request_complete: false,
            }),
        }
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
    pub(super) fn has_read(&self) {
        let mut state = self.lock();
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

    /// A request's head is complete.
    pub(super) fn begin_exchange(&self, has_body: bool) {
        let mut state = self.lock();
        state.phase = Phase::Exchange;
        state.has_been_served = true;
        state.upload = Pace::default();
        state.download = Pace::default();
        state.is_upload_over = false;
        state.is_request_complete = !has_body;
    }

    /// The last part of the request's body has come.
    pub(super) fn complete_request(&self) {
        self.lock().is_request_complete = true;
    }

    /// Whether a request has come to its end and its answer has not.
    pub(super) fn owes_answer(&self) -> bool {
        let state = self.lock();
        let is_answering = matches!(state.phase, Phase::Exchange | Phase::Flushing);
        state.is_request_complete && is_answering
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
        self.lock().download.moved(bytes, Instant::now());
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
