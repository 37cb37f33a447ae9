//! The record on disk: the only place that knows sled.
//!
//! One tree holds everything under typed keys, so that one batch is atomic for all that changes
//! together. `docs/storage-format.md` describes keys and values.

mod census;
mod durability;
mod file_sync;
mod free_space;
mod frozen_view;
mod guard;
mod key;
mod opening;
mod records;
mod tally;
mod value;
mod watermark;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use durability::{fsync_folder, tree_bytes};
pub(crate) use free_space::check as check_room;
pub(crate) use frozen_view::{Entry, FrozenView};
pub(crate) use key::{CollectionId, Key, KeyRange};
pub(crate) use records::{
    CollectionRecord, Counters, DocumentRecord, EncoderRecord, PassageRecord,
};
pub(crate) use value::{Reader, Writer};

use crate::Error;
use crate::lock_file::LockFile;
use durability::Durability;
use frozen_view::Turns;
use guard::{corrupt, guard};
use tally::Tally;
use watermark::Watermark;

/// Values stay below this, so that sled keeps them in its log and never in files of their own,
/// which it writes without fsync.
pub(crate) const MAX_VALUE_BYTES: usize = 3500;

/// Where sled puts values that are too large for its log. None should be.
const BLOBS_FOLDER: &str = "blobs";

/// The newest format that this version writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 3;

/// How many writes have been applied; a write is durable when a later flush has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sequence(u64);

/// The store of one data folder.
#[derive(Debug)]
pub(crate) struct Store {
    db: sled::Db,
    folder: PathBuf,
    min_free_disk_bytes: u64,
    durability: Durability,
    turns: Turns,
    /// What is stored once all applied batches are. Held while a batch is applied.
    tally: Mutex<Tally>,
    /// Bytes of all keys and values when it was opened.
    opened_with_bytes: u64,
    watermark: Mutex<Watermark>,
    /// Last, so that sled has let go of its files before another process may open the folder.
    _lock: LockFile,
}

/// Changes that are applied together or not at all.
#[derive(Debug, Default)]
pub(crate) struct WriteBatch {
    /// What is put or, without a value, removed. The last change of a key counts.
    changes: BTreeMap<Key, Option<Vec<u8>>>,
    bytes: u64,
}

impl WriteBatch {
    pub(crate) fn put(&mut self, key: &Key, value: Vec<u8>) {
        self.bytes += (key.as_bytes().len() + value.len()) as u64;
        self.changes.insert(key.clone(), Some(value));
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        self.bytes += key.as_bytes().len() as u64;
        self.changes.insert(key.clone(), None);
    }

    /// Bytes of all keys and values.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Store {
    /// The value under a key.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        self.get_bytes(key.as_bytes())
    }

    fn get_bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let value = self.guarded(|| self.db.get(key))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// All keys and values in a range, in the order of keys. The tally is none of them.
    pub(crate) fn scan<'a>(
        &'a self,
        range: &KeyRange,
    ) -> impl Iterator<Item = Result<(Key, Vec<u8>), Error>> + use<'a> {
        let mut entries = self.db.range(range.bounds());
        let all = std::iter::from_fn(move || {
            let entry = self.guarded(|| entries.next().transpose()).transpose()?;
            Some(entry.map(|(key, value)| (Key::from_bytes(&key), value.to_vec())))
        });
        let tally = Key::tally();
        all.filter(move |entry| !matches!(entry, Ok((key, _)) if *key == tally))
    }

    /// Applies a batch. It is durable only after [`Self::make_durable`] with what this returns.
    ///
    /// # Errors
    /// [`Error::StorageFull`] before anything is written; [`Error::WritesStopped`] when this write
    /// or an earlier one has failed half way.
    pub(crate) fn apply(&self, mut batch: WriteBatch) -> Result<Sequence, Error> {
        self.check_room(batch.bytes.saturating_mul(free_space::WRITE_AMPLIFICATION))?;
        batch.changes.remove(&Key::tally());
        let mut reading = self.turns.take();
        let mut tally = lock(&self.tally);
        self.durability.check()?;
        if let Some(saved) = reading.as_mut() {
            let keys = batch.changes.keys().map(Key::as_bytes);
            saved.save(keys, |key| self.get_bytes(key))?;
        }
        let next = self.tally_after(*tally, &batch)?;
        batch.put(&Key::tally(), next.to_bytes());
        let mut writes = sled::Batch::default();
        for (key, value) in batch.changes {
            match value {
                Some(value) => writes.insert(key.as_bytes(), value),
                None => writes.remove(key.as_bytes()),
            }
        }
        if let Err(error) = self.guarded(|| self.db.apply_batch(writes)) {
            self.durability.fail(&error);
            self.durability.check()?;
        }
        *tally = next;
        Ok(self.durability.applied(next.sequence))
    }

    /// The tally once a batch has been applied.
    fn tally_after(&self, mut tally: Tally, batch: &WriteBatch) -> Result<Tally, Error> {
        for (key, value) in &batch.changes {
            let key = key.as_bytes();
            if let Some(old) = self.guarded(|| self.db.get(key))? {
                tally.take_out(key, &old);
            }
            if let Some(value) = value {
                tally.put_in(key, value);
            }
        }
        tally.sequence += 1;
        Ok(tally)
    }

    /// Whether a file of so many bytes may be written beside the store: a full disk stops sled.
    ///
    /// # Errors
    /// [`Error::StorageFull`] when it would touch the reserve.
    pub(crate) fn check_room(&self, bytes: u64) -> Result<(), Error> {
        free_space::check(&self.folder, bytes, self.min_free_disk_bytes)
    }

    /// The sequence of the last write.
    pub(crate) fn last_applied(&self) -> Sequence {
        self.durability.last_applied()
    }

    /// Returns when everything up to `sequence` would survive a power cut. Waiting writers share
    /// one flush.
    ///
    /// # Errors
    /// [`Error::WritesStopped`] when the disk fails now or has failed before.
    pub(crate) fn make_durable(&self, sequence: Sequence) -> Result<(), Error> {
        self.durability.wait(sequence, |covered| {
            let outcome = self.flush(covered);
            if outcome.is_err() {
                // The disk fails already; nothing more can be done about a second failure.
                drop(lock(&self.watermark).doubt());
            }
            outcome
        })
    }

    /// Everything must be on the disk before the watermark says so.
    fn flush(&self, covered: u64) -> Result<(), Error> {
        self.guarded(|| self.db.flush())?;
        if !file_sync::is_in_place() || durability::has_files(&self.folder.join(BLOBS_FOLDER))? {
            durability::fsync_tree(&self.folder)?;
        }
        Ok(lock(&self.watermark).advance(covered)?)
    }

    /// Bytes of all keys and values when it was opened.
    pub(crate) fn opened_with_bytes(&self) -> u64 {
        self.opened_with_bytes
    }

    /// Bytes of all files of the store.
    pub(crate) fn size_on_disk(&self) -> Result<u64, Error> {
        tree_bytes(&self.folder)
    }

    /// An error about what was read.
    pub(crate) fn corrupt(&self, reason: impl Into<String>) -> Error {
        corrupt(&self.folder, reason)
    }

    fn guarded<T>(&self, call: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
        guard(&self.folder, call)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sled_writes_is_fsynced_before_sled_builds_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let lock = LockFile::acquire(folder.path()).unwrap();
        let store = Store::open(&folder.path().join("store"), 1 << 20, 0, lock).unwrap();
        let mut batch = WriteBatch::default();
        batch.put(&Key::format_version(), vec![1; 8]);
        store.make_durable(store.apply(batch).unwrap()).unwrap();
        assert!(file_sync::is_in_place(), "sled went past our function");
    }
}
