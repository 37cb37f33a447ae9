//! Turns of connections that move much.
//!
//! A connection that sends as fast as it is read is always ready to go on, and a hundred of them are a
//! hundred tasks that each worker polls before it comes to a probe. So whatever moves much is polled only
//! with a turn, of which there are fewer than workers; the others wait outside the runtime's queues. Uploads of
//! lines always need one.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;

use super::connection::Connection;

/// Bytes that a connection may move at once before it needs turns.
const MAX_BURST_BYTES: f64 = 256.0 * 1024.0;
/// What it may move in the long run, bytes a second.
const MAX_LIGHT_RATE: f64 = 1024.0 * 1024.0;

static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // One worker is left for the others, where there is more than one.
    Arc::new(Semaphore::new(cores.saturating_sub(1).max(1)))
});

/// How much a connection has moved of late: a bucket that leaks.
#[derive(Debug)]
pub(super) struct Volume {
    bytes: f64,
    at: Instant,
}

impl Volume {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            bytes: 0.0,
            at: now,
        }
    }

    /// Bytes were read or written.
    pub(super) fn add(&mut self, bytes: usize, now: Instant) {
        self.bytes = self.bytes_at(now) + bytes as f64;
        self.at = now;
    }

    /// Whether the connection needs turns.
    pub(super) fn is_much(&self, now: Instant) -> bool {
        self.bytes_at(now) > MAX_BURST_BYTES
    }

    fn bytes_at(&self, now: Instant) -> f64 {
        let leaked = now.saturating_duration_since(self.at).as_secs_f64() * MAX_LIGHT_RATE;
        (self.bytes - leaked).max(0.0)
    }
}

/// What drives a connection, or works on what comes from it, in turns while that moves much.
#[derive(Debug)]
pub(crate) struct InTurns<F> {
    inner: Pin<Box<F>>,
    connection: Arc<Connection>,
    /// However much the connection moves: a few bytes a line can be dear.
    is_always: bool,
    turns: PollSemaphore,
    /// It has asked for a turn, which is kept for it until it takes it.
    is_waiting: bool,
}

impl<F> InTurns<F> {
    pub(crate) fn new(inner: F, connection: Arc<Connection>) -> Self {
        Self {
            inner: Box::pin(inner),
            connection,
            is_always: false,
            turns: PollSemaphore::new(Arc::clone(&TURNS)),
            is_waiting: false,
        }
    }

    /// The same in turns at all times.
    pub(crate) fn always(inner: F, connection: Arc<Connection>) -> Self {
        Self {
            is_always: true,
            ..Self::new(inner, connection)
        }
    }
}

impl<F: Future> Future for InTurns<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // A turn is over when this returns, so nobody can keep one while it waits for something else.
        let _turn = if self.is_waiting || self.is_always || self.connection.takes_turns() {
            self.is_waiting = true;
            let turn = ready!(self.turns.poll_acquire(context));
            self.is_waiting = false;
            turn
        } else {
            None
        };
        self.inner.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::task::Waker;
    use std::time::Duration;

    use super::super::connection::Purpose;
    use super::*;

    fn connection() -> Arc<Connection> {
        let address = Ipv4Addr::LOCALHOST.into();
        Arc::new(Connection::new(1, address, Purpose::Everything))
    }

    /// Of a connection that has just moved a megabyte, or nothing.
    fn in_turns<F>(inner: F, moved: usize, turns: &Arc<Semaphore>) -> InTurns<F> {
        let connection = connection();
        connection.has_thrown_away(moved);
        InTurns {
            inner: Box::pin(inner),
            connection,
            is_always: false,
            turns: PollSemaphore::new(Arc::clone(turns)),
            is_waiting: false,
        }
    }

    fn polled<F: Future>(task: &mut InTurns<F>) -> Poll<F::Output> {
        Pin::new(task).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_moves_much_needs_turns_until_it_has_been_slow_for_a_while() {
        let now = Instant::now();
        let mut volume = Volume::new(now);
        volume.add(256 << 10, now);
        assert!(!volume.is_much(now));
        volume.add(128 << 10, now);
        assert!(volume.is_much(now));
        assert!(volume.is_much(now + Duration::from_millis(100)));
        assert!(!volume.is_much(now + Duration::from_millis(130)));
        volume.add(1 << 10, now + Duration::from_secs(5));
        assert!(!volume.is_much(now + Duration::from_secs(5)));
    }

    #[test]
    fn a_connection_that_moves_much_waits_for_its_turn_and_others_do_not() {
        let turns = Arc::new(Semaphore::new(1));
        let taken = turns.try_acquire().unwrap();
        let mut heavy = in_turns(async { 1 }, 1 << 20, &turns);
        let mut light = in_turns(async { 2 }, 0, &turns);
        assert_eq!(polled(&mut heavy), Poll::Pending);
        assert_eq!(polled(&mut light), Poll::Ready(2));
        let mut always = in_turns(async { 3 }, 0, &turns);
        always.is_always = true;
        assert_eq!(polled(&mut always), Poll::Pending);
        drop(taken);
        assert_eq!(polled(&mut heavy), Poll::Ready(1));
        drop(heavy);
        assert_eq!(polled(&mut always), Poll::Ready(3));
    }

    #[test]
    fn a_turn_is_kept_neither_between_polls_nor_by_who_does_not_need_it_any_more() {
        let turns = Arc::new(Semaphore::new(1));
        let mut heavy = in_turns(std::future::pending::<()>(), 1 << 20, &turns);
        assert_eq!(polled(&mut heavy), Poll::Pending);
        assert_eq!(turns.available_permits(), 1, "between polls");

        let taken = turns.try_acquire().unwrap();
        assert_eq!(polled(&mut heavy), Poll::Pending);
        drop(taken);
        // The turn is its own now; meanwhile it has become light.
        heavy.connection = connection();
        assert_eq!(turns.available_permits(), 0);
        assert_eq!(polled(&mut heavy), Poll::Pending);
        assert_eq!(turns.available_permits(), 1, "of a light one");

        let taken = turns.try_acquire().unwrap();
        let mut heavy = in_turns(async {}, 1 << 20, &turns);
        assert_eq!(polled(&mut heavy), Poll::Pending);
        drop(heavy);
        drop(taken);
        assert_eq!(turns.available_permits(), 1, "of one that has ended");
    }
}
