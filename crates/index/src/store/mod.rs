//! The record on disk: the only place that knows sled.
//!
//! One tree holds everything under typed keys, so that one batch is atomic for all that changes
//! together. `docs/storage-format.md` describes keys and values.

mod alias_record;
mod blobs;
mod census;
mod contents_check;
mod durability;
mod encoder_record;
mod engine;
mod feedback_records;
mod file_sync;
mod filling;
mod format;
mod free_space;
mod frozen_view;
mod generations_record;
mod guard;
mod key;
mod log_buffers;
mod numbers;
mod opening;
mod options;
mod pending;
mod progress;
mod reclaiming;
mod records;
mod rewriting;
mod staging;
mod tally;
mod turns;
mod value;
mod watermark;
mod write_batch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

pub(crate) use alias_record::AliasRecord;
pub use contents_check::ContentCheck;
pub(crate) use encoder_record::EncoderRecord;
pub(crate) use feedback_records::{FeedbackRecord, JudgementRecord};
pub(crate) use filling::Filling;
pub(crate) use format::{FORMAT_VERSION, check_format, stored_format};
pub(crate) use free_space::check as check_room;
pub(crate) use frozen_view::{Entry, FrozenView};
pub use generations_record::GenerationState;
pub(crate) use generations_record::{GenerationsRecord, OtherGeneration};
pub(crate) use key::{CollectionId, Key, KeyRange, QUERY_HASH_BYTES};
pub(crate) use numbers::next_collection_id;
pub use options::Reclaim;
pub(crate) use options::StoreOptions;
pub(crate) use records::{CollectionRecord, Counters, DocumentRecord, PassageRecord};
pub(crate) use rewriting::Exchange;
pub(crate) use value::{ValueReader, ValueWriter};
pub(crate) use write_batch::WriteBatch;

use crate::lock_file::LockFile;
use crate::{Cancel, Error};
use contents_check::DueCheck;
use durability::Durability;
use engine::Engine;
use guard::corrupt;
use pending::Pending;
use progress::Progress;
use tally::Contents;
use turns::{Turn, Turns};
use write_batch::Changes;

/// Values stay below this, so that sled keeps them in its log and never in files of their own,
/// which it writes without fsync.
pub(crate) const MAX_VALUE_BYTES: usize = 3500;

/// How many writes have been applied; a write is durable when a later flush has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sequence(u64);

/// The store of one data folder.
#[derive(Debug)]
pub(crate) struct Store {
    /// Exchanged for another while neither a batch nor a step of a view is under way.
    engine: RwLock<Arc<Engine>>,
    options: StoreOptions,
    durability: Durability,
    turns: Turns,
    /// What reads see in place of what is stored, while a large batch is being applied.
    pending: Pending,
    /// Held while a large batch is staged and applied.
    staging: Mutex<()>,
    progress: Arc<Progress>,
    /// Nothing is written before it has been made.
    check: DueCheck,
    /// What is stored once all applied batches are. Held while a batch is applied.
    contents: Mutex<Contents>,
    /// Last, so that sled has let go of its files before another process may open the folder.
    lock: LockFile,
}

impl Store {
    /// The value under a key.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        match self.pending.value(key) {
            Some(value) => Ok(value),
            None => self.get_stored(key.as_bytes()),
        }
    }

    /// What is stored under a key, whatever batch is being applied.
    fn get_stored(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let value = self.engine().get(key)?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// All keys and values in a range, in the order of keys. The tally is none of them.
    pub(crate) fn scan(
        &self,
        range: &KeyRange,
    ) -> impl Iterator<Item = Result<(Key, Vec<u8>), Error>> + use<> {
        let engine = self.engine();
        let mut entries = engine.range(range);
        let all = std::iter::from_fn(move || {
            // It is there as long as something is read from it.
            let _engine = &engine;
            Some(
                entries
                    .next()?
                    .map(|(key, value)| (Key::from_bytes(&key), value.to_vec())),
            )
        });
        let tally = Key::tally();
        let all = all.filter(move |entry| !matches!(entry, Ok((key, _)) if *key == tally));
        self.pending.over(all, range)
    }

    /// Applies a batch: on return reads see all of it, and none saw a part. It is durable only after
    /// [`Self::make_durable`] with what this returns.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DataFolderMoved`] and [`Error::StorageStalled`] before anything is
    /// written; [`Error::WritesStopped`] when this write or an earlier one has failed half way.
    pub(crate) fn apply(&self, batch: WriteBatch) -> Result<Sequence, Error> {
        self.check_contents(&Cancel::default())?;
        self.check_writable()?;
        self.check_room_of(&batch)?;
        if batch.is_one_step() {
            self.apply_step(batch)
        } else {
            self.apply_staged(batch)
        }
    }

    /// Applies a batch that is one step.
    fn apply_step(&self, batch: WriteBatch) -> Result<Sequence, Error> {
        let turn = self.turns.take();
        let mut contents = lock(&self.contents);
        self.durability.check()?;
        let engine = self.engine();
        let next = contents.next(batch.changes(), |key| engine.get(key))?;
        let changed_bytes = contents.changed_bytes(batch.bytes(), &next);
        let sequence = self.apply_counted(turn, batch, next)?;
        *contents = next;
        drop(contents);
        // The batch is applied; what fails here fails when it is to be made durable.
        drop(self.reclaim_after(changed_bytes));
        Ok(sequence)
    }

    /// Applies a batch with the tally of what is there then.
    fn apply_counted(
        &self,
        mut turn: MutexGuard<'_, Turn>,
        mut batch: WriteBatch,
        next: Contents,
    ) -> Result<Sequence, Error> {
        self.tell_readers(&mut turn, batch.changes())?;
        batch.put(&Key::tally(), next.tally.to_bytes());
        if let Err(error) = self.engine().apply(batch.into_changes()) {
            self.durability.fail(&error);
            self.durability.check()?;
        }
        Ok(self.durability.applied(next.tally.sequence))
    }

    /// Applies changes that are counted already, one after the other.
    fn apply_each(&self, changes: WriteBatch) -> Result<(), Error> {
        let mut turn = self.turns.take();
        self.durability.check()?;
        self.tell_readers(&mut turn, changes.changes())?;
        self.engine().apply_each(changes.into_changes())
    }

    /// Lets a view and a copy take note of what is about to change.
    fn tell_readers(&self, turn: &mut Turn, changes: &Changes) -> Result<(), Error> {
        let keys = || changes.keys().map(Key::as_bytes);
        if let Some(saved) = turn.saved.as_mut() {
            saved.save(keys(), |key| self.get_stored(key))?;
        }
        if let Some(changed) = turn.changed.as_mut() {
            changed.note(keys());
        }
        Ok(())
    }

    /// Refuses at once when no write could succeed now.
    ///
    /// # Errors
    /// [`Error::WritesStopped`] after a failure, [`Error::StorageStalled`] while an earlier write makes no
    /// progress.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        self.durability.check()?;
        if self.is_stalled() {
            let stalled_for = self.progress.longest();
            return Err(Error::StorageStalled { stalled_for });
        }
        Ok(())
    }

    /// Returns whether a write makes no progress.
    pub(crate) fn is_stalled(&self) -> bool {
        self.progress.longest() >= self.options.stall_after
    }

    /// For how long the oldest call into the database has been under way.
    pub(crate) fn longest_call(&self) -> Duration {
        self.progress.longest()
    }

    /// Checks that a file of so many bytes may be written beside the store: a full disk stops sled.
    ///
    /// # Errors
    /// [`Error::StorageFull`] when it would touch the reserve, [`Error::DataFolderMoved`].
    pub(crate) fn check_room(&self, bytes: u64) -> Result<(), Error> {
        self.check_in_place()?;
        let reserve_bytes = self.options.min_free_disk_bytes;
        free_space::check(self.engine().folder(), bytes, reserve_bytes)
    }

    fn check_room_of(&self, batch: &WriteBatch) -> Result<(), Error> {
        if !batch.frees_room() {
            let bytes = batch.written_bytes();
            return self.check_room(bytes.saturating_mul(free_space::WRITE_AMPLIFICATION));
        }
        self.check_in_place()?;
        let bytes = free_space::bytes_of_removing(batch.changes().len());
        let reserve_bytes = free_space::reserve_of_removing(self.options.min_free_disk_bytes);
        free_space::check(self.engine().folder(), bytes, reserve_bytes)
    }

    /// Checks that the data folder is where it was opened. What is written elsewhere would be lost with
    /// the next start.
    ///
    /// # Errors
    /// [`Error::DataFolderMoved`]
    pub(crate) fn check_in_place(&self) -> Result<(), Error> {
        let engine = self.engine();
        let moved = [self.lock.identity(), engine.log()]
            .into_iter()
            .find(|file| !file.is_in_place());
        match moved {
            None => Ok(()),
            Some(file) => Err(Error::DataFolderMoved {
                path: file.path().to_owned(),
            }),
        }
    }

    /// Returns whether there is room for writes; those that only remove may need less.
    pub(crate) fn has_room(&self) -> Result<bool, Error> {
        match self.check_room(0) {
            Ok(()) => Ok(true),
            Err(Error::StorageFull { .. }) => Ok(false),
            Err(error) => Err(error),
        }
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
            // Whatever has been applied by now is in this one, or in one that has replaced it.
            let engine = self.engine();
            let outcome = engine.flush(covered);
            if outcome.is_err() {
                engine.doubt();
            }
            outcome
        })
    }

    /// Bytes of all files of the store.
    pub(crate) fn size_on_disk(&self) -> Result<u64, Error> {
        self.engine().size_on_disk()
    }

    /// Bytes of all keys and values; 0 while they have not been counted.
    pub(crate) fn live_bytes(&self) -> u64 {
        lock(&self.contents).live_bytes
    }

    /// Returns whether nothing is written any more, since the disk has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.durability.check().is_err()
    }

    /// An error about what was read.
    pub(crate) fn corrupt(&self, reason: impl Into<String>) -> Error {
        corrupt(self.engine().folder(), reason)
    }

    fn engine(&self) -> Arc<Engine> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&engine)
    }

    /// Puts another database in the place of the one in use, which is returned.
    fn exchange_engine(&self, new: Arc<Engine>) -> Arc<Engine> {
        let mut engine = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *engine, new)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(folder: &std::path::Path, options: StoreOptions) -> Store {
        let lock = LockFile::acquire(folder).unwrap();
        Store::open(&folder.join("store"), options, lock).unwrap()
    }

    fn put(value: u8) -> WriteBatch {
        let mut batch = WriteBatch::default();
        batch.put(&Key::format_version(), vec![value; 8]);
        batch
    }

    fn value(store: &Store) -> Option<Vec<u8>> {
        store.get(&Key::format_version()).unwrap()
    }

    #[test]
    fn a_folder_that_was_moved_or_replaced_is_read_and_not_written_until_it_is_back() {
        let parent = tempfile::tempdir().unwrap();
        let (folder, elsewhere) = (parent.path().join("data"), parent.path().join("moved"));
        fs_err::create_dir(&folder).unwrap();
        let store = opened(&folder, StoreOptions::SMALL);
        store.make_durable(store.apply(put(1)).unwrap()).unwrap();
        let assert_refused = || {
            let outcome = store.apply(put(2));
            assert!(matches!(outcome, Err(Error::DataFolderMoved { .. })));
            let outcome = store.check_room(0);
            assert!(matches!(outcome, Err(Error::DataFolderMoved { .. })));
            assert_eq!(value(&store), Some(vec![1; 8]));
            assert!(!store.has_failed());
        };
        fs_err::rename(&folder, &elsewhere).unwrap();
        assert_refused();
        fs_err::create_dir(&folder).unwrap();
        fs_err::write(folder.join(crate::lock_file::LOCK_FILE), "").unwrap();
        assert_refused();
        fs_err::remove_dir_all(&folder).unwrap();
        fs_err::rename(&elsewhere, &folder).unwrap();
        store.make_durable(store.apply(put(3)).unwrap()).unwrap();
        // The store alone, below a lock file that is where it was.
        fs_err::rename(folder.join("store"), folder.join("old")).unwrap();
        let outcome = store.apply(put(4));
        assert!(matches!(outcome, Err(Error::DataFolderMoved { .. })));
        assert_eq!(value(&store), Some(vec![3; 8]));
    }

    #[test]
    fn removing_is_possible_on_a_disk_that_is_too_full_for_other_writes() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = opened(folder.path(), StoreOptions::SMALL);
        store.apply(put(1)).unwrap();
        let free = rustix::fs::statvfs(folder.path()).unwrap();
        let free_bytes = free.f_bavail * free.f_frsize;
        let removing = || {
            let mut batch = WriteBatch::freeing_room();
            batch.remove(&Key::format_version());
            batch
        };
        store.options.min_free_disk_bytes = free_bytes * 8;
        assert!(matches!(
            store.apply(removing()),
            Err(Error::StorageFull { .. })
        ));
        store.options.min_free_disk_bytes = free_bytes * 2;
        assert!(!store.has_room().unwrap());
        assert!(matches!(
            store.apply(put(2)),
            Err(Error::StorageFull { .. })
        ));
        store
            .make_durable(store.apply(removing()).unwrap())
            .unwrap();
        assert_eq!(value(&store), None);
    }
}
