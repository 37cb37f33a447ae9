//! The record on disk: the only place that knows sled.
//!
//! One tree holds everything under typed keys, so that one batch is atomic for all that changes
//! together. `docs/storage-format.md` describes keys and values.

mod durability;
mod free_space;
mod frozen_view;
mod key;
mod records;
mod value;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

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

/// Values stay below this, so that sled keeps them in its log and never in files of their own,
/// which it writes without fsync.
pub(crate) const MAX_VALUE_BYTES: usize = 3500;

/// The newest format that this version writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 2;

/// Together two seconds of patience for sled's own lock.
const MAX_LOCK_RETRIES: usize = 100;
const LOCK_RETRY_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

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
    /// Last, so that sled has let go of its files before another process may open the folder.
    _lock: LockFile,
}

/// Changes that are applied together or not at all.
#[derive(Debug, Default)]
pub(crate) struct WriteBatch {
    batch: sled::Batch,
    /// What changes, since sled's batch does not tell.
    keys: Vec<sled::IVec>,
    bytes: u64,
}

impl WriteBatch {
    pub(crate) fn put(&mut self, key: &Key, value: Vec<u8>) {
        self.bytes += (key.as_bytes().len() + value.len()) as u64;
        let key = self.changed(key);
        self.batch.insert(key, value);
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        self.bytes += key.as_bytes().len() as u64;
        let key = self.changed(key);
        self.batch.remove(key);
    }

    /// Bytes of all keys and values.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn changed(&mut self, key: &Key) -> sled::IVec {
        let key = sled::IVec::from(key.as_bytes());
        self.keys.push(key.clone());
        key
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Store {
    /// Opens or makes the store in `folder`, which `lock` guards.
    ///
    /// # Errors
    /// A damaged store, whether sled says so or panics.
    pub(crate) fn open(
        folder: &Path,
        cache_bytes: u64,
        min_free_disk_bytes: u64,
        lock: LockFile,
    ) -> Result<Self, Error> {
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(cache_bytes)
            // Every acknowledged write is flushed by its writer.
            .flush_every_ms(None);
        let mut opened = guard(folder, || config.open());
        for _ in 0..MAX_LOCK_RETRIES {
            if !opened.as_ref().is_err_and(is_locked) {
                break;
            }
            std::thread::sleep(LOCK_RETRY_PAUSE);
            opened = guard(folder, || config.open());
        }
        Ok(Self {
            db: opened?,
            folder: folder.to_owned(),
            min_free_disk_bytes,
            durability: Durability::default(),
            turns: Turns::default(),
            _lock: lock,
        })
    }

    /// The value under a key.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        self.get_bytes(key.as_bytes())
    }

    fn get_bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let value = self.guarded(|| self.db.get(key))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// All keys and values in a range, in the order of keys.
    pub(crate) fn scan<'a>(
        &'a self,
        range: &KeyRange,
    ) -> impl Iterator<Item = Result<(Key, Vec<u8>), Error>> + use<'a> {
        let mut entries = self.db.range(range.bounds());
        std::iter::from_fn(move || {
            let entry = self.guarded(|| entries.next().transpose()).transpose()?;
            Some(entry.map(|(key, value)| (Key::from_bytes(&key), value.to_vec())))
        })
    }

    /// Applies a batch. It is durable only after [`Self::make_durable`] with what this returns.
    ///
    /// # Errors
    /// [`Error::StorageFull`] before anything is written.
    pub(crate) fn apply(&self, batch: WriteBatch) -> Result<Sequence, Error> {
        self.check_room(batch.bytes.saturating_mul(free_space::WRITE_AMPLIFICATION))?;
        let mut reading = self.turns.take();
        if let Some(saved) = reading.as_mut() {
            let keys = batch.keys.iter().map(AsRef::as_ref);
            saved.save(keys, |key| self.get_bytes(key))?;
        }
        self.guarded(|| self.db.apply_batch(batch.batch))?;
        drop(reading);
        Ok(self.durability.applied())
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
    pub(crate) fn make_durable(&self, sequence: Sequence) -> Result<(), Error> {
        self.durability.wait(sequence, || {
            self.guarded(|| self.db.flush())?;
            durability::fsync_tree(&self.folder)
        })
    }

    /// Bytes of all files of the store.
    pub(crate) fn size_on_disk(&self) -> Result<u64, Error> {
        durability::tree_bytes(&self.folder)
    }

    /// An error about what was read.
    pub(crate) fn corrupt(&self, reason: impl Into<String>) -> Error {
        corrupt(&self.folder, reason)
    }

    fn guarded<T>(&self, call: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
        guard(&self.folder, call)
    }
}

/// Calls sled; its panics become errors.
fn guard<T>(folder: &Path, call: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(map_error(folder, error)),
        Err(panic) => Err(corrupt(folder, panic_message(&*panic))),
    }
}

/// Whether sled's own lock, which may outlive its last handle for a moment, is still held. No
/// other process can hold it, since ours is taken first.
fn is_locked(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

fn map_error(folder: &Path, error: sled::Error) -> Error {
    match error {
        sled::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            Error::StorageFull {
                needed_bytes: 0,
                free_bytes: 0,
            }
        }
        sled::Error::Io(error) => Error::Io(error),
        error => corrupt(folder, error.to_string()),
    }
}

fn corrupt(folder: &Path, reason: impl Into<String>) -> Error {
    Error::Corrupt {
        path: folder.to_owned(),
        reason: reason.into(),
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| {
            panic
                .downcast_ref::<&str>()
                .map(|message| (*message).to_owned())
        })
        .unwrap_or_else(|| "it cannot be read".to_owned())
}
