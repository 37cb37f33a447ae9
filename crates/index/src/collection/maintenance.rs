//! What background work on a collection needs to know, and what comes of it.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Cancel;
use crate::bell::Bell;
use crate::lexical::LexicalFailure;
use crate::store::Sequence;
use crate::vectors::FreezeFailure;

/// What background work needs to know.
#[derive(Debug)]
pub(crate) struct Maintenance {
    pub(super) max_head_passages: usize,
    pub(super) build_threads: usize,
    /// Tells the background thread that there is work.
    pub(super) wake: Arc<Bell>,
    /// Ends a build that is going on.
    pub(super) stop: Cancel,
    /// Held while work is done.
    pub(super) working: Mutex<()>,
    /// Removed passages when the manifest was written; differs from any count at first.
    pub(super) remembered_removals: AtomicU64,
    /// The last write when somebody last asked whether the collection is idle.
    pub(super) last_sequence: Mutex<Option<Sequence>>,
}

/// What one step of work did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There was nothing to do.
    Nothing,
    /// Something was done; there may be more.
    Worked,
}

/// Why background work was not done. It is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MaintenanceFailure {
    #[error(transparent)]
    Vectors(#[from] FreezeFailure),
    #[error("the lexical index: {0}")]
    Words(#[from] LexicalFailure),
}

impl Maintenance {
    pub(crate) fn new(max_head_passages: usize, build_threads: usize, wake: Arc<Bell>) -> Self {
        Self {
            max_head_passages,
            build_threads,
            wake,
            stop: Cancel::default(),
            working: Mutex::new(()),
            remembered_removals: AtomicU64::new(u64::MAX),
            last_sequence: Mutex::new(None),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
