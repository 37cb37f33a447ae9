//! What writes a collection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::family::Family;
use super::folders::Folders;
use super::maintenance::Maintenance;
use super::reader::Reader;
use super::state::WriterState;
use crate::memory::MemoryShare;

/// Plans, stores, changes and deletes, one batch at a time, and makes segments of what was written.
#[derive(Debug)]
pub struct Writer {
    pub(super) reader: Arc<Reader>,
    pub(super) state: Mutex<WriterState>,
    pub(super) folders: Folders,
    pub(super) maintenance: Maintenance,
    pub(super) memory: MemoryShare,
    /// All generations of the collection that are written to, this one among them.
    pub(super) family: Arc<Family>,
}

impl Writer {
    /// What reads the same collection.
    pub fn reader(&self) -> &Arc<Reader> {
        &self.reader
    }

    /// Returns whether it is the same generation as another.
    pub fn is(&self, other: &Self) -> bool {
        self.reader.id() == other.reader.id()
    }

    pub(super) fn lock_writer(&self) -> MutexGuard<'_, WriterState> {
        // A writer that panicked changed neither counters nor staged state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
