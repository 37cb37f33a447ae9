//! Ending long work before it is done.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;

/// How long work runs before it lets others have the core. Linux would give it the whole time until the next tick of
/// its clock, 4 ms, and a search that finds both cores busy waits for several such ticks, one after another.
const TURN: Duration = Duration::from_micros(300);

thread_local! {
    /// When the present thread has last let others have the core.
    static TURN_BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Tells long work to end. It is told once; clones are one.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_cancelled: AtomicBool,
    /// Held between the look at the flag and the wait, so that no call in between is missed.
    waiting: Mutex<()>,
    changed: Condvar,
}

impl Cancel {
    /// Ends whatever looks at it, and wakes whatever waits with it.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::Relaxed);
        drop(self.0.waiting.lock());
        self.0.changed.notify_all();
    }

    /// Returns whether the work is to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Relaxed)
    }

    /// Ends work between two of its steps, or lets others have the core when it has run for a while.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when it is to end.
    pub fn check(&self) -> Result<(), Error> {
        give_way();
        match self.is_cancelled() {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }

    /// Waits for so long, or until the work is to end. Returns whether it is.
    pub(crate) fn wait(&self, pause: Duration) -> bool {
        let waiting = self.0.waiting.lock();
        let waited = self.0.changed.wait_timeout_while(
            waiting.unwrap_or_else(PoisonError::into_inner),
            pause,
            |()| !self.is_cancelled(),
        );
        drop(waited);
        self.is_cancelled()
    }
}

/// Lets others have the core when the present thread has run for a while since it last did.
fn give_way() {
    let now = Instant::now();
    match TURN_BEGAN.get() {
        Some(began) if now.duration_since(began) < TURN => {}
        _ => {
            thread::yield_now();
            TURN_BEGAN.set(Some(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_another_thread_cancels_and_not_before() {
        let cancel = Cancel::default();
        assert!(!cancel.wait(Duration::from_millis(1)));
        let clone = cancel.clone();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| cancel.wait(Duration::from_secs(60)));
            clone.cancel();
            assert!(waiting.join().unwrap());
        });
        assert!(matches!(cancel.check(), Err(Error::Cancelled)));
    }
}
