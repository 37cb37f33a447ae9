//! Compacting the store while it is in use, so that the disk it takes stays within a bound.
//!
//! A thread looks at the store. One that takes too much for its live data is compacted while writes go on.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::compaction::{Compaction, CompactionReport, MIN_WASTEFUL_BYTES};
use crate::health::Health;
use crate::{Error, IndexOptions, Progress};

/// Pause between two looks at what the store takes.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// Pause after a compaction has failed, for example for want of room.
const RETRY_PAUSE: Duration = Duration::from_secs(60);
/// A store is not compacted again before it has grown by so much, whatever the ratio says.
const MIN_GROWTH: f64 = 1.1;

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
    compaction: Arc<Compaction>,
    thread: Option<JoinHandle<()>>,
}

impl Compactor {
    /// Starts the thread, unless the options have no bound for a store in use.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(
        compaction: Compaction,
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
    /// As [`Compaction::run`].
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
        self.compaction.closing().cancel();
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
fn watch(compaction: &Compaction, ratio: f64, health: &Health) {
    let _running = health.thread();
    let mut bound = Bound {
        ratio,
        min_bytes: 0,
    };
    let mut pause = LOOK_PAUSE;
    while !compaction.closing().wait(pause) {
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

fn look(compaction: &Compaction, bound: Bound) -> Result<Option<CompactionReport>, Error> {
    let store = compaction.store();
    // Its live data is not known before.
    if store.is_unchecked()
        || store.has_failed()
        || !bound.is_passed(store.live_bytes(), store.size_on_disk()?)
    {
        return Ok(None);
    }
    let unseen = Progress::default();
    compaction.run(compaction.closing(), &unseen).map(Some)
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
