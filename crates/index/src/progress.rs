//! How far long work is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What long work has done, of what there is to do. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    done: AtomicU64,
    skipped: AtomicU64,
    /// 0 as long as it is not known.
    total: AtomicU64,
}

impl Progress {
    /// Says how much there is to do.
    pub fn set_total(&self, total: u64) {
        self.0.total.store(total, Ordering::Relaxed);
    }

    /// Says how much is done.
    pub fn set_done(&self, done: u64) {
        self.0.done.store(done, Ordering::Relaxed);
    }

    /// Says that so much more is done.
    pub fn add(&self, done: u64) {
        self.0.done.fetch_add(done, Ordering::Relaxed);
    }

    /// Says how much of what is done had been done before, and so took no time.
    pub fn set_skipped(&self, skipped: u64) {
        self.0.skipped.store(skipped, Ordering::Relaxed);
    }

    /// Returns how much of what is done had been done before.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.0.skipped.load(Ordering::Relaxed)
    }

    /// Returns how much is done.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// Returns how much there is to do, once that is known.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        Some(self.0.total.load(Ordering::Relaxed)).filter(|total| *total > 0)
    }
}
