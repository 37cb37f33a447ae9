//! Copying everything into a new database while batches are applied to the old one, and putting it
//! in the old one's place.
//!
//! The copy goes through the keys in their order. A batch says which keys it changes among those
//! that have been copied; they are copied again. So the copy comes nearer to the original until
//! little is left, and only for that little do batches wait.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::{Engine, open_sled};
use super::guard::corrupt;
use super::tally::Contents;
use super::watermark::Watermark;
use super::write_batch::WriteBatch;
use super::{Entry, Key, KeyRange, Store, lock};
use crate::durable_files::fsync_tree_and_name;
use crate::{Cancel, Error};

/// Keys that may be left for the last copy, for which batches wait.
const MAX_LAST_KEYS: usize = 2048;
/// Rounds of copying what was changed in the round before, until the last copy is made whatever is
/// left. Each round has what was written during the one before.
const MAX_ROUNDS: usize = 50;
/// Keys that may be waiting to be copied again.
const MAX_CHANGED_KEYS: usize = 1 << 20;
/// Entries that are read back between two looks at whether to go on.
const CHECKED_ENTRIES: usize = 1024;

/// What a copy being made has yet to copy again.
#[derive(Debug, Default)]
pub(super) struct Changed {
    keys: BTreeSet<Vec<u8>>,
    /// How far the copy is in the order of keys.
    copied: Copied,
    /// Set when more keys were waiting than may; the copy is worthless then.
    is_overrun: bool,
}

#[derive(Debug, Default)]
enum Copied {
    #[default]
    Nothing,
    UpTo(Vec<u8>),
    Everything,
}

impl Changed {
    /// Takes note of what a batch is about to change.
    pub(super) fn note<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>) {
        for key in keys {
            let is_copied = match &self.copied {
                Copied::Nothing => false,
                Copied::UpTo(last) => key <= last.as_slice(),
                Copied::Everything => true,
            };
            if is_copied && !self.is_overrun {
                self.keys.insert(key.to_vec());
            }
        }
        if self.keys.len() > MAX_CHANGED_KEYS {
            self.is_overrun = true;
            self.keys.clear();
        }
    }

    fn take(&mut self) -> Result<BTreeSet<Vec<u8>>, Error> {
        if self.is_overrun {
            return Err(Error::RewriteOverrun {
                max_keys: MAX_CHANGED_KEYS,
            });
        }
        Ok(std::mem::take(&mut self.keys))
    }
}

/// What was done, and what is left to let go of.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// For how long batches waited.
    pub(crate) pause: Duration,
    /// Entries that were there at the end.
    pub(crate) entries: u64,
    /// Bytes of their keys and values.
    pub(crate) live_bytes: u64,
    /// The database that was replaced.
    pub(crate) replaced: Replaced,
}

/// A database that nothing new is read from. Its folder may be removed when it is no longer read.
#[derive(Debug)]
pub(crate) struct Replaced(Arc<Engine>);

impl Replaced {
    /// Returns whether something still reads from it.
    pub(crate) fn is_read(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// A copy while it is made. Dropping it ends the taking of notes.
#[derive(Debug)]
pub(crate) struct Rewriting<'a> {
    store: &'a Store,
    new: Arc<Engine>,
    /// What the new database holds.
    copied: Contents,
}

impl Store {
    /// Begins a copy in `folder`, which must not be there.
    ///
    /// # Errors
    /// When the disk fails, the store does not hold what was stored, or another copy is being made.
    pub(crate) fn rewrite(&self, folder: &Path) -> Result<Rewriting<'_>, Error> {
        self.check_contents(&Cancel::default())?;
        let db = open_sled(folder, self.options.cache_bytes)?;
        // Durable before its first entry, as every other store.
        fsync_tree_and_name(folder)?;
        let watermark = Watermark::create(folder, 0)?;
        let new = Engine::new(db, folder, watermark, Arc::clone(&self.progress))?;
        let mut turns = self.turns.take();
        if turns.changed.is_some() {
            return Err(Error::RewriteInProgress);
        }
        turns.changed = Some(Changed::default());
        drop(turns);
        Ok(Rewriting {
            store: self,
            new: Arc::new(new),
            copied: Contents::default(),
        })
    }
}

impl Rewriting<'_> {
    /// Copies some entries, and again those that have changed. Returns whether there are more.
    ///
    /// # Errors
    /// [`Error::RewriteOverrun`] when more is changed than can be copied; a failing disk.
    pub(crate) fn copy_step(&mut self) -> Result<bool, Error> {
        let mut turns = self.store.turns.take();
        let Some(changed) = turns.changed.as_mut() else {
            return Ok(false);
        };
        let again = changed.take()?;
        let after = match &changed.copied {
            Copied::Nothing => None,
            Copied::UpTo(last) => Some(last.as_slice()),
            Copied::Everything => return Ok(false),
        };
        let (entries, is_last) = self.store.read_step(after)?;
        let last = entries.last().map(|(key, _)| key.as_bytes().to_vec());
        changed.copied = match last {
            Some(last) if !is_last => Copied::UpTo(last),
            _ => Copied::Everything,
        };
        drop(turns);
        self.copy_again(&again)?;
        self.put_new(entries)?;
        Ok(!is_last)
    }

    /// Keys and values that were copied and count, bytes.
    pub(crate) fn copied_bytes(&self) -> u64 {
        self.copied.live_bytes
    }

    /// Reads back everything that was copied, and compares it with what was written. `check` is
    /// asked now and then whether to go on.
    ///
    /// # Errors
    /// When it is not the same, or `check` says so.
    pub(crate) fn verify(&self, check: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
        let mut found = Contents::default();
        for (place, entry) in self.new.range(&KeyRange::everything()).enumerate() {
            if place.is_multiple_of(CHECKED_ENTRIES) {
                check()?;
            }
            let (key, value) = entry?;
            found.put_in(&key, &value);
        }
        self.compare(&found)
    }

    /// Copies what has changed until little is left, then that while batches wait, and lets the
    /// store use the new database from then on. `commit` makes that known to the next start.
    ///
    /// # Errors
    /// When the copy differs or the disk fails; the store is as it was then. When `commit` fails,
    /// nothing is written any more: the next start may find either database.
    pub(crate) fn exchange(
        mut self,
        commit: impl FnOnce() -> Result<(), Error>,
    ) -> Result<Exchange, Error> {
        self.catch_up()?;
        let store = self.store;
        // A large batch is in the copy whole.
        let _staging = lock(&store.staging);
        let mut turns = store.turns.take();
        let started = Instant::now();
        let contents = lock(&store.contents);
        store.durability.check()?;
        let again = turns
            .changed
            .as_mut()
            .map_or(Ok(BTreeSet::new()), Changed::take)?;
        self.copy_again(&again)?;
        self.compare(&contents)?;
        let tally = contents.tally;
        self.new.apply([(Key::tally(), Some(tally.to_bytes()))])?;
        self.new.flush(tally.sequence)?;
        if let Err(error) = commit() {
            store.durability.fail(&error);
            return Err(error);
        }
        Ok(Exchange {
            replaced: Replaced(store.exchange_engine(Arc::clone(&self.new))),
            pause: started.elapsed(),
            entries: tally.entries(),
            live_bytes: contents.live_bytes,
        })
    }

    /// Copies again until little has changed meanwhile, and makes it durable.
    fn catch_up(&mut self) -> Result<(), Error> {
        for _ in 0..MAX_ROUNDS {
            let mut turns = self.store.turns.take();
            let again = turns
                .changed
                .as_mut()
                .map_or(Ok(BTreeSet::new()), Changed::take)?;
            drop(turns);
            self.copy_again(&again)?;
            self.new.flush(0)?;
            if again.len() <= MAX_LAST_KEYS {
                break;
            }
        }
        Ok(())
    }

    /// Puts in entries that the new database does not have yet.
    fn put_new(&mut self, entries: Vec<Entry>) -> Result<(), Error> {
        for (key, value) in &entries {
            self.copied.put_in(key.as_bytes(), value);
        }
        let entries = entries.into_iter();
        self.new
            .apply_each(entries.map(|(key, value)| (key, Some(value))))
    }

    /// Makes these keys what they are in the store now.
    fn copy_again(&mut self, keys: &BTreeSet<Vec<u8>>) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        for key in keys {
            if let Some(old) = self.new.get(key)? {
                self.copied.take_out(key, &old);
            }
            let value = self.store.get_stored(key)?;
            if let Some(value) = &value {
                self.copied.put_in(key, value);
            }
            let key = Key::from_bytes(key);
            match value {
                Some(value) => batch.put(&key, value),
                None => batch.remove(&key),
            }
            if batch.is_full() {
                self.new
                    .apply_each(std::mem::take(&mut batch).into_changes())?;
            }
        }
        self.new.apply_each(batch.into_changes())
    }

    fn compare(&self, expected: &Contents) -> Result<(), Error> {
        if self.copied.holds_as(expected) {
            return Ok(());
        }
        Err(self.differs())
    }

    fn differs(&self) -> Error {
        corrupt(self.new.folder(), "the copy is not what was copied")
    }
}

impl Drop for Rewriting<'_> {
    fn drop(&mut self) {
        self.store.turns.take().changed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock_file::LockFile;
    use crate::store::{CollectionId, StoreOptions, WriteBatch};

    fn open(folder: &Path, name: &str) -> Store {
        let lock = LockFile::acquire(folder).unwrap();
        Store::open(&folder.join(name), StoreOptions::SMALL, lock).unwrap()
    }

    fn write(store: &Store, puts: &[(u32, u8)], removals: &[u32]) {
        let mut batch = WriteBatch::default();
        for (n, value) in puts {
            batch.put(&Key::passage(CollectionId(1), *n), vec![*value; 100]);
        }
        for n in removals {
            batch.remove(&Key::passage(CollectionId(1), *n));
        }
        store.make_durable(store.apply(batch).unwrap()).unwrap();
    }

    fn all(store: &Store) -> Vec<Entry> {
        let entries = store.scan(&KeyRange::everything());
        entries.collect::<Result<_, _>>().unwrap()
    }

    /// A store of 2000 entries.
    fn filled(folder: &Path) -> Store {
        let store = open(folder, "store");
        let entries: Vec<(u32, u8)> = (0..2000).map(|n| (n * 2, 1)).collect();
        write(&store, &entries, &[]);
        store
    }

    #[test]
    fn a_copy_has_what_was_written_before_and_behind_it_and_takes_the_place_of_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path());
        let mut copy = store.rewrite(&folder.path().join("new")).unwrap();
        let mut round = 0;
        while copy.copy_step().unwrap() {
            round += 1;
            write(
                &store,
                &[(round * 2, 2), (3998 - round * 2, 3)],
                &[4 + round * 6],
            );
            write(&store, &[(round * 2 + 1, 4), (3999, 5)], &[0, 3000]);
        }
        assert!(round > 3, "nothing was written meanwhile");
        copy.verify(|| Ok(())).unwrap();
        write(&store, &[(7, 6), (5001, 6)], &[2]);
        let expected = all(&store);
        let exchange = copy.exchange(|| Ok(())).unwrap();
        assert!(all(&store) == expected);
        assert_eq!(exchange.entries, expected.len() as u64);
        assert!(!exchange.replaced.is_read());
        write(&store, &[(9, 7)], &[4]);
        let expected = all(&store);
        drop((exchange, store));
        // Opening compares with the tally and with what was acknowledged.
        assert!(all(&open(folder.path(), "new")) == expected);
    }

    #[test]
    fn what_is_read_during_an_exchange_stays_until_it_has_been_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path());
        let everything = KeyRange::everything();
        let mut reading = store.scan(&everything);
        reading.next().unwrap().unwrap();
        let mut copy = store.rewrite(&folder.path().join("new")).unwrap();
        while copy.copy_step().unwrap() {}
        let exchange = copy.exchange(|| Ok(())).unwrap();
        assert!(exchange.replaced.is_read());
        assert_eq!(reading.by_ref().count(), 1999);
        drop(reading);
        assert!(!exchange.replaced.is_read());
    }

    #[test]
    fn a_copy_that_differs_does_not_take_the_place_of_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path());
        let mut copy = store.rewrite(&folder.path().join("new")).unwrap();
        while copy.copy_step().unwrap() {}
        copy.new.apply([(b"other", Some(vec![1]))]).unwrap();
        assert!(copy.verify(|| Ok(())).is_err());
        copy.copied.put_in(b"other", &[1]);
        assert!(copy.exchange(|| panic!("committed")).is_err());
        write(&store, &[(1, 1)], &[]);
        assert_eq!(all(&store).len(), 2001);
    }

    #[test]
    fn after_a_commit_that_failed_half_way_nothing_is_written_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path());
        let mut copy = store.rewrite(&folder.path().join("new")).unwrap();
        while copy.copy_step().unwrap() {}
        let failing = || Err(std::io::Error::other("the disk is gone").into());
        assert!(copy.exchange(failing).is_err());
        let refused = store.apply(WriteBatch::default());
        assert!(matches!(refused, Err(Error::WritesStopped { .. })));
        assert_eq!(all(&store).len(), 2000);
    }

    #[test]
    fn there_is_one_copy_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path());
        let copy = store.rewrite(&folder.path().join("new")).unwrap();
        let second = store.rewrite(&folder.path().join("second"));
        assert!(matches!(second, Err(Error::RewriteInProgress)));
        drop(copy);
        assert!(store.rewrite(&folder.path().join("third")).is_ok());
    }

    #[test]
    fn a_copy_is_given_up_when_more_keys_change_than_may_wait() {
        let keys: Vec<[u8; 4]> = (0..=MAX_CHANGED_KEYS as u32)
            .map(u32::to_be_bytes)
            .collect();
        let mut changed = Changed {
            copied: Copied::Everything,
            ..Changed::default()
        };
        let (last, rest) = keys.split_last().unwrap();
        changed.note(rest.iter().map(<[u8; 4]>::as_slice));
        assert!(!changed.is_overrun);
        changed.note([last.as_slice()].into_iter());
        assert!(matches!(changed.take(), Err(Error::RewriteOverrun { .. })));
    }
}
