//! The thread that looks every second whether an index can be written.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::health::{Health, HealthCondition};
use crate::memory::MemoryBudget;
use crate::store::Store;

/// Pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// The running thread. Dropping it ends it and waits for that, so that nothing holds the store.
#[derive(Debug)]
pub(crate) struct Watch {
    closing: Cancel,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Looks once, then starts the thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(
        store: Arc<Store>,
        memory: Arc<MemoryBudget>,
        health: Arc<Health>,
    ) -> std::io::Result<Self> {
        let look = move |health: &Health| {
            look(&store, health);
            health.set(HealthCondition::MemoryFull, memory.usage().is_full);
        };
        look(&health);
        let closing = Cancel::default();
        let is_closing = closing.clone();
        let thread = std::thread::Builder::new()
            .name("index-watch".to_owned())
            .spawn(move || {
                let _ended = health.thread();
                while !is_closing.wait(LOOK_PAUSE) {
                    health.survive("looking after the store", || look(&health));
                }
            })?;
        Ok(Self {
            closing,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.closing.cancel();
        if let Some(thread) = self.thread.take() {
            // Its panics are survived, and counted there.
            drop(thread.join());
        }
    }
}

fn look(store: &Store, health: &Health) {
    // First what does not ask the disk, which may not answer.
    health.set(HealthCondition::StorageDamaged, store.is_damaged());
    health.set(HealthCondition::WritesStopped, store.has_failed());
    health.set(HealthCondition::WritesStalled, store.is_stalled());
    health.set(
        HealthCondition::DataFolderMoved,
        store.check_in_place().is_err(),
    );
    // In a folder that is elsewhere there is nothing to measure.
    if let Ok(has_room) = store.has_room() {
        health.set(HealthCondition::DiskFull, !has_room);
    }
    health.looked();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock_file::LockFile;
    use crate::store::StoreOptions;

    fn store(folder: &std::path::Path, min_free_disk_bytes: u64) -> Store {
        let lock = LockFile::acquire(folder).unwrap();
        let options = StoreOptions {
            min_free_disk_bytes,
            ..StoreOptions::SMALL
        };
        Store::open(&folder.join("store"), options, lock).unwrap()
    }

    fn conditions(store: &Store) -> Vec<HealthCondition> {
        let health = Health::default();
        look(store, &health);
        health.conditions()
    }

    #[test]
    fn a_look_finds_a_full_disk_and_a_folder_that_was_moved() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        fs_err::create_dir(&folder).unwrap();
        let moved = store(&folder, 0);
        assert_eq!(conditions(&moved), []);
        fs_err::rename(&folder, parent.path().join("moved")).unwrap();
        assert_eq!(conditions(&moved), [HealthCondition::DataFolderMoved]);
        let other = parent.path().join("other");
        fs_err::create_dir(&other).unwrap();
        let full = store(&other, u64::MAX);
        assert_eq!(conditions(&full), [HealthCondition::DiskFull]);
    }
}
