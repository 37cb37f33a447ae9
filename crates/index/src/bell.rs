//! What wakes the background thread.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::Cancel;

/// Pause between two looks at collections that nobody rings for.
const LOOK_PAUSE: Duration = Duration::from_secs(5);

/// Rung when there is work.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    has_rung: Mutex<bool>,
    changed: Condvar,
    closing: Cancel,
}

/// Why the thread woke up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Somebody has work.
    Rung,
    /// Nobody had, for the whole pause.
    Quiet,
    /// The index is closed.
    Closing,
}

impl Bell {
    /// Says that there is work.
    pub(crate) fn ring(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    /// Says that the index is closed.
    pub(crate) fn close(&self) {
        self.closing.cancel();
        self.ring();
    }

    /// Set once the index is closed.
    pub(crate) fn closing(&self) -> &Cancel {
        &self.closing
    }

    /// Waits until somebody rings, or for a while.
    pub(crate) fn wait(&self) -> Woken {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), LOOK_PAUSE, |has_rung| !*has_rung);
        let mut has_rung = waited.unwrap_or_else(PoisonError::into_inner).0;
        match (self.closing.is_cancelled(), std::mem::take(&mut *has_rung)) {
            (true, _) => Woken::Closing,
            (false, true) => Woken::Rung,
            (false, false) => Woken::Quiet,
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.has_rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_that_rings_before_the_wait_is_heard() {
        let bell = Bell::default();
        bell.ring();
        assert_eq!(bell.wait(), Woken::Rung);
        bell.ring();
        bell.close();
        assert!(bell.closing.wait(Duration::from_secs(10)));
        assert_eq!(bell.wait(), Woken::Closing);
    }
}
