//! How much memory the data of an index takes, and how much it may take.
//!
//! What is counted is what grows with the data: the index of metadata, vectors and words that no
//! segment holds yet, and what is kept of each document and passage. Each part knows its own size,
//! so the count falls as soon as documents are deleted, which the process's size does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Error;

/// A folder is still opened with this much more than it may take, as a part of the limit: data that was
/// just within it when it was written may take a little more when its segments were lost.
const START_ALLOWANCE: u64 = 4;
/// What a collection takes without a document: its structures, folders and locks.
const COLLECTION_BYTES: u64 = 8 << 10;

/// The memory that the data of an index takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUse {
    /// What the data takes, bytes, as it is counted.
    pub used_bytes: u64,
    /// What it may take, bytes; [`u64::MAX`] when nothing bounds it.
    pub max_bytes: u64,
    /// Whether the last write that needed more was refused, and nothing has been given back since.
    pub is_full: bool,
}

/// The memory of all collections together.
#[derive(Debug)]
pub(crate) struct MemoryBudget {
    used: AtomicU64,
    max: u64,
    is_full: AtomicBool,
}

/// What one collection has of it, until it is dropped.
#[derive(Debug)]
pub(crate) struct MemoryShare {
    budget: Arc<MemoryBudget>,
    bytes: AtomicU64,
}

impl MemoryBudget {
    pub(crate) fn new(max_bytes: Option<u64>) -> Self {
        Self {
            used: AtomicU64::new(0),
            max: max_bytes.unwrap_or(u64::MAX),
            is_full: AtomicBool::new(false),
        }
    }

    pub(crate) fn usage(&self) -> MemoryUse {
        let used_bytes = self.used.load(Ordering::Relaxed);
        MemoryUse {
            used_bytes,
            max_bytes: self.max,
            is_full: self.is_full.load(Ordering::Relaxed) || used_bytes > self.max,
        }
    }

    /// Counts more bytes, unless there are not as many.
    fn take(&self, bytes: u64) -> bool {
        let grown = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.max);
        let used = &self.used;
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .is_ok()
    }

    fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        if bytes > 0 {
            self.is_full.store(false, Ordering::Relaxed);
        }
    }

    fn full(&self, needed_bytes: u64) -> Error {
        Error::MemoryFull {
            used_bytes: self.used.load(Ordering::Relaxed),
            needed_bytes,
            max_bytes: self.max,
        }
    }
}

impl MemoryShare {
    /// Nothing yet.
    pub(crate) fn new(budget: &Arc<MemoryBudget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            bytes: AtomicU64::new(0),
        }
    }

    /// So many bytes for a while, if there are as many.
    ///
    /// # Errors
    /// [`Error::MemoryFull`]
    pub(crate) fn reserved(budget: &Arc<MemoryBudget>, bytes: u64) -> Result<Self, Error> {
        let share = Self::new(budget);
        if bytes > 0 && !budget.take(bytes) {
            return Err(budget.full(bytes));
        }
        share.bytes.store(bytes, Ordering::Relaxed);
        Ok(share)
    }

    /// Counts `bytes` in the place of what was counted before, which is returned.
    ///
    /// One writer at a time; others read.
    pub(crate) fn set(&self, bytes: u64) -> u64 {
        let bytes = bytes + COLLECTION_BYTES;
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        if bytes >= before {
            self.budget
                .used
                .fetch_add(bytes - before, Ordering::Relaxed);
        } else {
            self.budget.release(before - bytes);
        }
        before.saturating_sub(COLLECTION_BYTES)
    }

    /// As [`Self::set`], unless it is more than before and more than there is.
    ///
    /// # Errors
    /// [`Error::MemoryFull`]
    pub(crate) fn try_set(&self, bytes: u64) -> Result<u64, Error> {
        let before = self.bytes.load(Ordering::Relaxed);
        let more = (bytes + COLLECTION_BYTES).saturating_sub(before);
        if more == 0 {
            return Ok(self.set(bytes));
        }
        let budget = &self.budget;
        let is_taken = budget.take(more);
        budget.is_full.store(!is_taken, Ordering::Relaxed);
        if !is_taken {
            return Err(budget.full(more));
        }
        self.bytes.store(before + more, Ordering::Relaxed);
        Ok(before.saturating_sub(COLLECTION_BYTES))
    }

    /// Checks that a collection that is being loaded may take as much.
    ///
    /// # Errors
    /// [`Error::DataOverMemory`]
    pub(crate) fn check_loaded(&self, bytes: u64) -> Result<(), Error> {
        let max = self.budget.max;
        let others = self.budget.used.load(Ordering::Relaxed);
        let used_bytes = others.saturating_add(bytes);
        if used_bytes <= max.saturating_add(max / START_ALLOWANCE) {
            return Ok(());
        }
        Err(Error::DataOverMemory {
            used_bytes,
            max_bytes: max,
        })
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.budget.release(*self.bytes.get_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_given_up_to_the_limit_and_given_back() {
        let max = 2 * COLLECTION_BYTES + 100;
        let budget = Arc::new(MemoryBudget::new(Some(max)));
        let (first, second) = (MemoryShare::new(&budget), MemoryShare::new(&budget));
        first.set(0);
        second.set(0);
        assert_eq!(first.try_set(60).unwrap(), 0);
        assert!(matches!(second.try_set(41), Err(Error::MemoryFull { .. })));
        assert!(budget.usage().is_full);
        assert_eq!(second.try_set(40).unwrap(), 0);
        assert_eq!(budget.usage().used_bytes, max);
        assert!(!budget.usage().is_full);
        assert!(first.try_set(61).is_err());
        assert_eq!(first.try_set(10).unwrap(), 60);
        assert!(!budget.usage().is_full, "something was given back");
        drop(first);
        assert_eq!(budget.usage().used_bytes, COLLECTION_BYTES + 40);
    }

    #[test]
    fn a_folder_a_little_over_the_limit_is_opened_and_one_far_over_it_is_not() {
        let budget = Arc::new(MemoryBudget::new(Some(1000)));
        let share = MemoryShare::new(&budget);
        share.check_loaded(1250).unwrap();
        assert!(matches!(
            share.check_loaded(1251),
            Err(Error::DataOverMemory { .. })
        ));
        let unbounded = MemoryShare::new(&Arc::new(MemoryBudget::new(None)));
        unbounded.check_loaded(u64::MAX / 2).unwrap();
    }
}
