//! What keeps an index from its work, as somebody saw it last.
//!
//! Whoever asks reads a few atomics, so that a probe never waits for a disk that does not answer.
//! `watch.rs` looks every second; what notices a change sooner says so here.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A watch that has not looked for so long waits for a disk that does not answer.
const SILENT_AFTER: Duration = Duration::from_secs(30);

/// Something that keeps an index from a part of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthCondition {
    /// The record does not hold what was stored.
    StorageDamaged,
    /// A write or fsync of data has failed.
    WritesStopped,
    /// A write, or the disk, makes no progress.
    WritesStalled,
    /// The data folder is not where it was opened.
    DataFolderMoved,
    /// The disk has less free than is kept for emergencies.
    DiskFull,
    /// The data takes as much memory as it may.
    MemoryFull,
    /// A background thread has ended.
    BackgroundStopped,
}

impl HealthCondition {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::StorageDamaged,
        Self::WritesStopped,
        Self::WritesStalled,
        Self::DataFolderMoved,
        Self::DiskFull,
        Self::MemoryFull,
        Self::BackgroundStopped,
    ];

    /// Its name, for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::StorageDamaged => "storage_damaged",
            Self::WritesStopped => "writes_stopped",
            Self::WritesStalled => "writes_stalled",
            Self::DataFolderMoved => "data_folder_moved",
            Self::DiskFull => "disk_full",
            Self::MemoryFull => "memory_full",
            Self::BackgroundStopped => "background_stopped",
        }
    }

    /// What it means and what ends it, in a sentence for people.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::StorageDamaged => {
                "the storage does not hold what was stored, so nothing more is written, and the next start is refused; restore a snapshot; reads go on and may lack documents"
            }
            Self::WritesStopped => {
                "a write or fsync failed, so nothing more is written until the service is started again; reads go on"
            }
            Self::WritesStalled => "a write makes no progress, so others are refused; reads go on",
            Self::DataFolderMoved => {
                "the data folder was moved, removed or replaced while it was in use; writes go on once it is back, or the service is started again; reads go on"
            }
            Self::DiskFull => {
                "the disk has less than storage.min_free_disk_bytes free; documents can be read and deleted, and written again once there is room"
            }
            Self::MemoryFull => {
                "the data takes as much memory as it may; documents can be read and deleted, and written again once there is room"
            }
            Self::BackgroundStopped => {
                "a background thread has ended, so indexes are not kept in shape until the service is started again; reads and writes go on"
            }
        }
    }

    /// Returns whether nobody should be sent here: some requests fail, and go on failing until somebody steps in.
    /// In the other conditions the index serves what it can and recovers by itself.
    pub fn is_fatal(self) -> bool {
        match self {
            Self::StorageDamaged
            | Self::WritesStopped
            | Self::WritesStalled
            | Self::DataFolderMoved => true,
            Self::DiskFull | Self::MemoryFull | Self::BackgroundStopped => false,
        }
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The conditions of one index, and what its background threads have been through.
#[derive(Debug)]
pub struct Health {
    conditions: AtomicU32,
    background_panics: AtomicU64,
    opened_at: Instant,
    /// Milliseconds from then to the last look.
    looked_after_ms: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            conditions: AtomicU32::new(0),
            background_panics: AtomicU64::new(0),
            opened_at: Instant::now(),
            looked_after_ms: AtomicU64::new(0),
        }
    }
}

impl Health {
    /// Says whether a condition holds; the log tells when that has changed.
    pub fn set(&self, condition: HealthCondition, holds: bool) {
        let bit = condition.bit();
        let before = if holds {
            self.conditions.fetch_or(bit, Ordering::Relaxed)
        } else {
            self.conditions.fetch_and(!bit, Ordering::Relaxed)
        };
        let (name, explanation) = (condition.name(), condition.explanation());
        match (before & bit != 0, holds) {
            (false, true) => tracing::error!(condition = name, "{explanation}"),
            (true, false) => tracing::info!(condition = name, "this is over"),
            _ => {}
        }
    }

    /// All that hold.
    pub fn conditions(&self) -> Vec<HealthCondition> {
        if self.is_silent() {
            self.set(HealthCondition::WritesStalled, true);
        }
        let bits = self.conditions.load(Ordering::Relaxed);
        let conditions = HealthCondition::ALL.into_iter();
        conditions
            .filter(|condition| bits & condition.bit() != 0)
            .collect()
    }

    /// Panics of background threads, each of which went on after it.
    pub fn background_panics(&self) -> u64 {
        self.background_panics.load(Ordering::Relaxed)
    }

    /// Does a piece of background work. A panic in it is logged and counted, and yields `None`: what
    /// it was about stays as it was, since background work is shown only when it is done.
    pub(crate) fn survive<T>(&self, what: &'static str, work: impl FnOnce() -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(outcome) => Some(outcome),
            Err(panic) => {
                self.background_panics.fetch_add(1, Ordering::Relaxed);
                let message = panic_message(&*panic);
                tracing::error!(what, message, "background work panicked; it is tried again");
                None
            }
        }
    }

    /// Kept by a background thread for as long as it runs; a panic that ends the thread is noticed.
    pub(crate) fn thread(&self) -> Running<'_> {
        Running(self)
    }

    /// Says that somebody has looked just now.
    pub(crate) fn looked(&self) {
        self.looked_after_ms.store(self.age_ms(), Ordering::Relaxed);
    }

    fn is_silent(&self) -> bool {
        let looked_after_ms = self.looked_after_ms.load(Ordering::Relaxed);
        let silence_ms = self.age_ms().saturating_sub(looked_after_ms);
        silence_ms > SILENT_AFTER.as_millis() as u64
    }

    fn age_ms(&self) -> u64 {
        self.opened_at.elapsed().as_millis() as u64
    }
}

/// A background thread that runs.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a Health);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set(HealthCondition::BackgroundStopped, true);
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
    message.unwrap_or("it left no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_from_when_they_are_set_until_they_are_not() {
        let health = Health::default();
        assert_eq!(health.conditions(), []);
        health.set(HealthCondition::DiskFull, true);
        health.set(HealthCondition::WritesStopped, true);
        assert_eq!(
            health.conditions(),
            [HealthCondition::WritesStopped, HealthCondition::DiskFull]
        );
        health.set(HealthCondition::DiskFull, false);
        assert_eq!(health.conditions(), [HealthCondition::WritesStopped]);
    }

    #[test]
    fn names_are_words_of_their_own() {
        let names = HealthCondition::ALL.map(HealthCondition::name);
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }

    #[test]
    fn a_panic_is_counted_and_the_next_piece_of_work_is_done() {
        let health = Health::default();
        let none: Option<()> = health.survive("a test", || panic!("on purpose"));
        assert_eq!((none, health.background_panics()), (None, 1));
        assert_eq!(health.survive("a test", || 7), Some(7));
        assert_eq!(health.background_panics(), 1);
    }

    #[test]
    fn a_thread_that_ends_by_a_panic_is_noticed_and_one_that_returns_is_not() {
        let health = Health::default();
        std::thread::scope(|scope| {
            drop(scope.spawn(|| drop(health.thread())).join());
            assert_eq!(health.conditions(), []);
            let ended = scope.spawn(|| {
                let _running = health.thread();
                panic!("on purpose");
            });
            assert!(ended.join().is_err());
        });
        assert_eq!(health.conditions(), [HealthCondition::BackgroundStopped]);
    }
}
