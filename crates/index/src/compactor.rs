//! Compacting the store while it is in use, so that the disk it takes stays within a bound.
//!
//! A thread looks at the store. One that takes too much for its live data is copied into a new
//! folder while writes go on (`store/rewriting.rs`), and exchanged for the copy.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::compaction::{CompactionReport, MIN_WASTEFUL_BYTES, STORE_BYTES_PER_LIVE_BYTE};
use crate::data_folder::{self, new_current};
use crate::durable_files::{remove_if_there, tree_bytes};
use crate::health::Health;
use crate::store::{Exchange, Store};
use crate::{Error, IndexOptions, Progress};

/// Pause between two looks at what the store takes.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// Pause after a compaction has failed, for example for want of room.
const RETRY_PAUSE: Duration = Duration::from_secs(60);
/// Pause between two looks at whether the old database is still read.
const READ_PAUSE: Duration = Duration::from_millis(20);
/// A store is not compacted again before it has grown by so much, whatever the ratio says.
const MIN_GROWTH: f64 = 1.1;

/// Compacts one open store.
#[derive(Debug)]
pub(crate) struct OnlineCompaction {
    folder: PathBuf,
    store: Arc<Store>,
    /// Ends what the thread does when the index is closed.
    closing: Cancel,
    /// One at a time, with the number of the folder that the store is in: 0 is its usual one.
    number: Mutex<u64>,
}

impl OnlineCompaction {
    /// For the store of a data folder, which is in its usual place.
    pub(crate) fn new(folder: &Path, store: Arc<Store>) -> Self {
        Self {
            folder: folder.to_owned(),
            store,
            closing: Cancel::default(),
            number: Mutex::default(),
        }
    }

    /// Rewrites the store while it is in use.
    ///
    /// # Errors
    /// [`Error::StorageFull`] before anything is written; [`Error::RewriteOverrun`],
    /// [`Error::Cancelled`], or a failing disk. The store is as it was then.
    pub(crate) fn run(
        &self,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<CompactionReport, Error> {
        let mut number = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        let before_bytes = self.store.size_on_disk()?;
        let room = self.store.live_bytes();
        self.store
            .check_room(room.saturating_mul(STORE_BYTES_PER_LIVE_BYTE))?;
        let next = data_folder::numbered(&self.folder, *number + 1);
        remove_if_there(&next)?;
        let copied = self.exchange(*number + 1, &next, cancel, progress);
        let exchange = copied.inspect_err(|_| {
            // What may have been named is kept; the next start knows which one it is.
            if !self.store.has_failed() {
                drop(remove_if_there(&next));
            }
        })?;
        let old = self.folder_of(*number);
        *number += 1;
        self.remove(&exchange, &old, cancel)?;
        tracing::info!(
            before_bytes,
            after_bytes = tree_bytes(&next)?,
            pause_ms = exchange.pause.as_millis() as u64,
            "the store was compacted"
        );
        Ok(CompactionReport {
            entries: exchange.entries,
            live_bytes: exchange.live_bytes,
            before_bytes,
            after_bytes: tree_bytes(&next)?,
            pause: exchange.pause,
        })
    }

    fn exchange(
        &self,
        number: u64,
        next: &Path,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<Exchange, Error> {
        progress.set_total(self.store.live_bytes());
        let mut copy = self.store.rewrite(next)?;
        while copy.copy_step()? {
            progress.set_done(copy.copied_bytes());
            cancel.check()?;
        }
        copy.verify(|| cancel.check())?;
        let named = new_current(&self.folder, number)?;
        copy.exchange(|| Ok(named.commit().map(drop)?))
    }

    /// Removes what was replaced when nothing reads from it any more. The next start does so when
    /// the index is closed before.
    fn remove(&self, exchange: &Exchange, old: &Path, cancel: &Cancel) -> Result<(), Error> {
        while exchange.replaced.is_read() {
            if cancel.wait(READ_PAUSE) {
                return Ok(());
            }
        }
        Ok(remove_if_there(old)?)
    }

    fn folder_of(&self, number: u64) -> PathBuf {
        match number {
            0 => self.folder.join(data_folder::STORE_FOLDER),
            number => data_folder::numbered(&self.folder, number),
        }
    }
}

/// When a store is compacted.
#[derive(Debug, Clone, Copy)]
struct Bound {
    ratio: f64,
    min_bytes: u64,
}

impl Bound {
    fn is_passed(self, live_bytes: u64, disk_bytes: u64) -> bool {
        let min_bytes = MIN_WASTEFUL_BYTES.max(self.min_bytes);
        disk_bytes >= min_bytes && disk_bytes as f64 > self.ratio * live_bytes as f64
    }
}

/// The running thread. Dropping it gives up a compaction, and waits for the thread's end.
#[derive(Debug)]
pub(crate) struct Compactor {
    compaction: Arc<OnlineCompaction>,
    thread: Option<JoinHandle<()>>,
}

impl Compactor {
    /// Starts the thread, unless the options have no bound for a store in use.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(
        compaction: OnlineCompaction,
        options: &IndexOptions,
        health: &Arc<Health>,
    ) -> std::io::Result<Self> {
        let compaction = Arc::new(compaction);
        let thread = options.compact_over_ratio.map(|ratio| {
            let (compaction, health) = (Arc::clone(&compaction), Arc::clone(health));
            std::thread::Builder::new()
                .name("index-compactor".to_owned())
                .spawn(move || watch(&compaction, ratio, &health))
        });
        Ok(Self {
            compaction,
            thread: thread.transpose()?,
        })
    }

    /// Rewrites the store now.
    ///
    /// # Errors
    /// As [`OnlineCompaction::run`].
    pub(crate) fn compact(
        &self,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<CompactionReport, Error> {
        self.compaction.run(cancel, progress)
    }
}

impl Drop for Compactor {
    fn drop(&mut self) {
        self.compaction.closing.cancel();
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the thread that compacts the store had panicked");
        }
    }
}

/// At the usual priority: writes wait for the end of a compaction, and the store grows until then.
fn watch(compaction: &OnlineCompaction, ratio: f64, health: &Health) {
    let _running = health.thread();
    let mut bound = Bound {
        ratio,
        min_bytes: 0,
    };
    let mut pause = LOOK_PAUSE;
    while !compaction.closing.wait(pause) {
        pause = LOOK_PAUSE;
        match health.survive("compacting the store", || look(compaction, bound)) {
            None => pause = RETRY_PAUSE,
            Some(Ok(None) | Err(Error::Cancelled)) => {}
            Some(Ok(Some(report))) => {
                bound.min_bytes = (report.after_bytes as f64 * MIN_GROWTH) as u64;
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "the store takes too much room and was not compacted");
                pause = RETRY_PAUSE;
            }
        }
    }
}

fn look(compaction: &OnlineCompaction, bound: Bound) -> Result<Option<CompactionReport>, Error> {
    let store = &compaction.store;
    if store.has_failed() || !bound.is_passed(store.live_bytes(), store.size_on_disk()?) {
        return Ok(None);
    }
    let unseen = Progress::default();
    compaction.run(&compaction.closing, &unseen).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_over_its_bound_when_it_is_large_and_has_grown_and_has_little_that_lives() {
        let bound = Bound {
            ratio: 2.5,
            min_bytes: 0,
        };
        let mib = |n: u64| n << 20;
        assert!(bound.is_passed(mib(40), mib(101)));
        assert!(!bound.is_passed(mib(40), mib(100)), "at the ratio");
        assert!(!bound.is_passed(mib(1), mib(63)), "too small");
        let grown = Bound {
            min_bytes: mib(110),
            ..bound
        };
        assert!(!grown.is_passed(mib(40), mib(109)), "just compacted");
        assert!(grown.is_passed(mib(40), mib(110)));
    }
}
