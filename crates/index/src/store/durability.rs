//! Group commit: all waiting writers share one flush and one round of fsync.
//!
//! sled 0.34 flushes with `sync_file_range`, which covers neither file metadata nor the drive's
//! cache, so its files and folders are fsynced here after every flush.

use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Sequence;
use crate::Error;

/// Which writes have been applied and which are durable.
#[derive(Debug, Default)]
pub(super) struct Durability {
    state: Mutex<State>,
    flushed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    applied: u64,
    durable: u64,
    flushing: bool,
}

impl Durability {
    /// Numbers a write that has just been applied.
    pub(super) fn applied(&self) -> Sequence {
        let mut state = self.lock();
        state.applied += 1;
        Sequence(state.applied)
    }

    pub(super) fn last_applied(&self) -> Sequence {
        Sequence(self.lock().applied)
    }

    /// Waits until a flush that began after write `sequence` has ended. The first to wait
    /// flushes; the others wait for it, and the next of them flushes what came in between.
    pub(super) fn wait(
        &self,
        sequence: Sequence,
        flush: impl Fn() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut state = self.lock();
        while state.durable < sequence.0 {
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
            let outcome = flush();
            state = self.lock();
            state.flushing = false;
            self.flushed.notify_all();
            outcome?;
            state.durable = state.durable.max(covered);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Files that sled makes and takes away by itself may vanish while we look.
fn unless_gone<T>(result: std::io::Result<T>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Fsyncs every file below a folder, then the folder.
pub(super) fn fsync_tree(folder: &Path) -> Result<(), Error> {
    for entry in fs_err::read_dir(folder)? {
        let Some(entry) = unless_gone(entry)? else {
            continue;
        };
        let Some(kind) = unless_gone(entry.file_type())? else {
            continue;
        };
        if kind.is_dir() {
            fsync_tree(&entry.path())?;
        } else if let Some(file) = unless_gone(fs_err::File::open(entry.path()))? {
            file.sync_all()?;
        }
    }
    fs_err::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Bytes of all files below a folder.
pub(super) fn tree_bytes(folder: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    for entry in fs_err::read_dir(folder)? {
        let Some(entry) = unless_gone(entry)? else {
            continue;
        };
        let Some(metadata) = unless_gone(entry.metadata())? else {
            continue;
        };
        bytes += if metadata.is_dir() {
            tree_bytes(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn waiting_writers_share_a_flush() {
        let durability = Durability::default();
        let flushes = AtomicUsize::new(0);
        let flush = || {
            flushes.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(30));
            Ok(())
        };
        std::thread::scope(|scope| {
            for _ in 0..16 {
                let sequence = durability.applied();
                let durability = &durability;
                scope.spawn(move || durability.wait(sequence, flush).unwrap());
            }
        });
        assert!(flushes.load(Ordering::SeqCst) < 8, "{flushes:?}");
    }

    #[test]
    fn a_failed_flush_is_told_and_the_next_writer_tries_again() {
        let durability = Durability::default();
        let sequence = durability.applied();
        let failing = || Err(std::io::Error::other("no").into());
        assert!(durability.wait(sequence, failing).is_err());
        assert!(durability.wait(sequence, || Ok(())).is_ok());
        assert!(
            durability.wait(sequence, failing).is_ok(),
            "it is durable already"
        );
    }
}
