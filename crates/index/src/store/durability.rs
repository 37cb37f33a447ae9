//! Group commit: all waiting writers share one flush and one round of fsync.
//!
//! A flush that has failed is never tried again: the system may have dropped what it could not
//! write, and a later fsync would say nothing about it. From then on nothing is written.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Sequence;
use crate::Error;

/// Which writes have been applied and which are durable.
#[derive(Debug)]
pub(super) struct Durability {
    state: Mutex<State>,
    flushed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    applied: u64,
    durable: u64,
    flushing: bool,
    /// Why no more may be written.
    failure: Option<String>,
}

impl Durability {
    /// Of a store in which everything up to this write is durable.
    pub(super) fn after(sequence: u64) -> Self {
        let state = State {
            applied: sequence,
            durable: sequence,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            flushed: Condvar::new(),
        }
    }

    /// Says that a write has been applied.
    pub(super) fn applied(&self, sequence: u64) -> Sequence {
        self.lock().applied = sequence;
        Sequence(sequence)
    }

    /// Ends all writing: what is on the disk is not known any more.
    pub(super) fn fail(&self, reason: &Error) {
        let mut state = self.lock();
        state.failure.get_or_insert_with(|| reason.to_string());
        self.flushed.notify_all();
    }

    /// Refuses when an earlier write has failed.
    ///
    /// # Errors
    /// [`Error::WritesStopped`] with the reason.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.lock().check()
    }

    pub(super) fn last_applied(&self) -> Sequence {
        Sequence(self.lock().applied)
    }

    /// Waits until a flush that began after write `sequence` has ended. The first to wait
    /// flushes; the others wait for it, and the next of them flushes what came in between.
    /// `flush` is told the last write that it covers.
    ///
    /// # Errors
    /// When this flush or an earlier one has failed.
    pub(super) fn wait(
        &self,
        sequence: Sequence,
        flush: impl Fn(u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut state = self.lock();
        while state.durable < sequence.0 {
            state.check()?;
            if state.flushing {
                state = self
                    .flushed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.flushing = true;
            let covered = state.applied;
            drop(state);
            let outcome = flush(covered);
            state = self.lock();
            state.flushing = false;
            match outcome {
                Ok(()) => state.durable = state.durable.max(covered),
                Err(error) => state.failure = Some(error.to_string()),
            }
            self.flushed.notify_all();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self) -> Result<(), Error> {
        match &self.failure {
            None => Ok(()),
            Some(reason) => Err(Error::WritesStopped {
                reason: reason.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn waiting_writers_share_a_flush() {
        let durability = Durability::after(0);
        let flushes = AtomicUsize::new(0);
        let flush = |_| {
            flushes.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(30));
            Ok(())
        };
        std::thread::scope(|scope| {
            for number in 1..=16 {
                let sequence = durability.applied(number);
                let durability = &durability;
                scope.spawn(move || durability.wait(sequence, flush).unwrap());
            }
        });
        assert!(flushes.load(Ordering::SeqCst) < 8, "{flushes:?}");
    }

    #[test]
    fn after_a_failed_flush_no_later_one_is_believed() {
        let durability = Durability::after(3);
        let failing = |_| Err(std::io::Error::other("the disk is gone").into());
        assert!(
            durability.wait(Sequence(3), failing).is_ok(),
            "durable before"
        );
        let sequence = durability.applied(4);
        for _ in 0..2 {
            let error = durability.wait(sequence, failing).unwrap_err();
            assert!(error.to_string().contains("the disk is gone"), "{error}");
        }
        assert!(durability.wait(sequence, |_| Ok(())).is_err());
        assert!(durability.check().is_err());
        assert!(
            durability.wait(Sequence(3), failing).is_ok(),
            "durable before"
        );
    }
}
