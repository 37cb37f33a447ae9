//! Ending long work before it is done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::{Error, turn};

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
        turn::give_way(Arc::as_ptr(&self.0) as usize);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_another_thread_cancels_and_not_before() {
        let cancel = Cancel::default();
        assert!(!cancel.wait(Duration::from_millis(1)));
        let clone = cancel.clone();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| cancel.wait(Duration::from_secs(60)));
            clone.cancel();
            assert!(waiting.join().unwrap());
        });
        assert!(matches!(cancel.check(), Err(Error::Cancelled)));
    }
}
