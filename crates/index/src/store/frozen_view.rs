//! The record as it was at one moment, read in small steps while writes go on.
//!
//! sled's iterators see later writes, and it has no snapshots of its own. So while a view is being
//! read, every batch first saves what it is about to replace, as far as the view has not come by
//! yet. A step of the view and a batch exclude each other, so nothing changes within a step.

use std::collections::BTreeMap;

use super::{Key, KeyRange, Store, lock};
use crate::{Cancel, Error};

/// Entries and bytes of one step: writes wait for as long as it takes to read these.
const MAX_STEP_ENTRIES: usize = 256;
const MAX_STEP_BYTES: usize = 256 << 10;
/// What a saved value takes beside its bytes.
const SAVED_OVERHEAD_BYTES: u64 = 96;

/// A key and the value under it.
pub(crate) type Entry = (Key, Vec<u8>);

/// What a view being read still needs of the past.
#[derive(Debug)]
pub(super) struct Saved {
    /// What stood under a key at the moment of the view; `None` where nothing did.
    values: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: u64,
    max_bytes: u64,
    /// Everything up to here has been read.
    read_up_to: Option<Vec<u8>>,
    /// Set when more would have had to be saved than is allowed; the view is worthless then.
    is_overrun: bool,
}

impl Saved {
    fn new(max_bytes: u64) -> Self {
        Self {
            values: BTreeMap::new(),
            bytes: 0,
            max_bytes,
            read_up_to: None,
            is_overrun: false,
        }
    }

    /// Saves what is stored under `keys`, before it is replaced.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) fn save<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
        stored: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<(), Error> {
        for key in keys {
            if self.is_overrun {
                return Ok(());
            }
            let has_been_read = self.read_up_to.as_deref().is_some_and(|read| key <= read);
            if has_been_read || self.values.contains_key(key) {
                continue;
            }
            let value = stored(key)?;
            self.bytes += entry_bytes(key, value.as_deref());
            self.values.insert(key.to_vec(), value);
            if self.bytes > self.max_bytes {
                self.is_overrun = true;
                self.values.clear();
            }
        }
        Ok(())
    }

    /// Takes out all saved values up to `last`, or all when that is the end.
    fn take_up_to(&mut self, last: Option<&[u8]>) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let taken = match last {
            None => std::mem::take(&mut self.values),
            Some(last) => {
                let mut after = self.values.split_off(last);
                let of_last = after.remove_entry(last);
                let mut taken = std::mem::replace(&mut self.values, after);
                taken.extend(of_last);
                taken
            }
        };
        for (key, value) in &taken {
            self.bytes -= entry_bytes(key, value.as_deref());
        }
        taken
    }
}

fn entry_bytes(key: &[u8], value: Option<&[u8]>) -> u64 {
    (key.len() + value.map_or(0, <[u8]>::len)) as u64 + SAVED_OVERHEAD_BYTES
}

/// The record at one moment. While it lives, replaced values are saved for it.
#[derive(Debug)]
pub(crate) struct FrozenView<'a> {
    store: &'a Store,
    is_at_end: bool,
}

impl Store {
    /// A view of everything that has been applied by now. Values that are replaced before the view
    /// has read them are held in memory, up to `max_saved_bytes`; beyond that the view is lost.
    ///
    /// # Errors
    /// [`Error::SnapshotInProgress`] while there is another view, [`Error::WritesStopped`] of a store that
    /// does not hold what was stored.
    pub(crate) fn freeze(&self, max_saved_bytes: u64) -> Result<FrozenView<'_>, Error> {
        self.check_contents(&Cancel::default())?;
        // A large batch is in the view whole or not at all.
        let _staging = lock(&self.staging);
        let mut turn = self.turns.take();
        if turn.saved.is_some() {
            return Err(Error::SnapshotInProgress);
        }
        turn.saved = Some(Saved::new(max_saved_bytes));
        Ok(FrozenView {
            store: self,
            is_at_end: false,
        })
    }
}

impl FrozenView<'_> {
    /// The next entries in the order of keys; `None` at the end.
    ///
    /// # Errors
    /// [`Error::SnapshotOverrun`] when writes have replaced more than may be saved, and whatever
    /// the store fails with.
    pub(crate) fn next_step(&mut self) -> Result<Option<Vec<Entry>>, Error> {
        if self.is_at_end {
            return Ok(None);
        }
        let mut turn = self.store.turns.take();
        let Some(saved) = turn.saved.as_mut() else {
            return Ok(None);
        };
        if saved.is_overrun {
            return Err(Error::SnapshotOverrun {
                max_bytes: saved.max_bytes,
            });
        }
        let (stored, is_last) = self.store.read_step(saved.read_up_to.as_deref())?;
        let last = stored.last().map(|(key, _)| key.as_bytes().to_vec());
        let last = last.filter(|_| !is_last);
        let replaced = saved.take_up_to(last.as_deref());
        self.is_at_end = is_last;
        saved.read_up_to = last;
        drop(turn);
        Ok(Some(as_it_was(stored, replaced)))
    }
}

impl Drop for FrozenView<'_> {
    fn drop(&mut self) {
        self.store.turns.take().saved = None;
    }
}

impl Store {
    /// Some entries after a key, and whether they are the last. The tally is none of them.
    /// No batch comes between, as long as the caller has the turn.
    pub(super) fn read_step(&self, after: Option<&[u8]>) -> Result<(Vec<Entry>, bool), Error> {
        let mut entries = self.engine().range(&KeyRange::after(after));
        let (mut step, mut bytes) = (Vec::new(), 0);
        while step.len() < MAX_STEP_ENTRIES && bytes < MAX_STEP_BYTES {
            let Some((key, value)) = entries.next().transpose()? else {
                return Ok((step, true));
            };
            let key = Key::from_bytes(&key);
            if key != Key::tally() {
                bytes += key.as_bytes().len() + value.len();
                step.push((key, value.to_vec()));
            }
        }
        Ok((step, false))
    }
}

/// Puts saved values over what is stored now.
fn as_it_was(stored: Vec<Entry>, saved: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Vec<Entry> {
    if saved.is_empty() {
        return stored;
    }
    let mut entries: BTreeMap<Key, Option<Vec<u8>>> = stored
        .into_iter()
        .map(|(key, value)| (key, Some(value)))
        .collect();
    let saved = saved.into_iter();
    entries.extend(saved.map(|(key, value)| (Key::from_bytes(&key), value)));
    let entries = entries.into_iter();
    entries
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock_file::LockFile;
    use crate::store::{CollectionId, StoreOptions, WriteBatch};

    const COLLECTION: CollectionId = CollectionId(1);

    fn store(folder: &std::path::Path) -> Store {
        let lock = LockFile::acquire(folder).unwrap();
        Store::open(&folder.join("store"), StoreOptions::SMALL, lock).unwrap()
    }

    fn key(n: u32) -> Key {
        Key::passage(COLLECTION, n)
    }

    fn write(store: &Store, puts: &[(u32, u8)], removals: &[u32]) {
        let mut batch = WriteBatch::default();
        for (n, value) in puts {
            batch.put(&key(*n), vec![*value; 100]);
        }
        for n in removals {
            batch.remove(&key(*n));
        }
        store.apply(batch).unwrap();
    }

    fn rest_of(view: &mut FrozenView<'_>) -> Vec<Entry> {
        let mut entries = Vec::new();
        while let Some(step) = view.next_step().unwrap() {
            entries.extend(step);
        }
        entries
    }

    #[test]
    fn a_view_shows_the_moment_at_which_it_was_made_whatever_is_written_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let numbers: Vec<(u32, u8)> = (0..1000).map(|n| (n * 2, 1)).collect();
        write(&store, &numbers, &[]);
        let expected: Vec<Entry> = numbers
            .iter()
            .map(|(n, value)| (key(*n), vec![*value; 100]))
            .collect();
        let mut view = store.freeze(1 << 20).unwrap();
        let mut seen = Vec::new();
        for round in 0_u32.. {
            // Behind and ahead of where the view is: replaced, removed, made anew, and put back.
            write(&store, &[(round * 2, 2), (1998 - round * 2, 2)], &[700]);
            write(&store, &[(round * 2 + 1, 3), (1501, 3), (2001, 3)], &[998]);
            write(&store, &[(700, 4)], &[1501, 0]);
            let Some(step) = view.next_step().unwrap() else {
                break;
            };
            assert!(step.len() <= MAX_STEP_ENTRIES + 16);
            seen.extend(step);
        }
        assert!(seen == expected);
        drop(view);
        let mut view = store.freeze(1 << 20).unwrap();
        assert!(rest_of(&mut view) != expected, "a later view is another");
    }

    #[test]
    fn a_view_of_nothing_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let mut view = store.freeze(1 << 20).unwrap();
        write(&store, &[(1, 1)], &[]);
        assert_eq!(rest_of(&mut view), []);
    }

    #[test]
    fn there_is_one_view_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let view = store.freeze(1 << 20).unwrap();
        let second = store.freeze(1 << 20);
        assert!(matches!(second, Err(Error::SnapshotInProgress)));
        drop(second);
        drop(view);
        assert!(store.freeze(1 << 20).is_ok());
    }

    #[test]
    fn a_view_is_lost_when_more_is_replaced_than_may_be_saved_and_writes_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let numbers: Vec<(u32, u8)> = (0..100).map(|n| (n, 1)).collect();
        write(&store, &numbers, &[]);
        let mut view = store.freeze(5000).unwrap();
        let replaced: Vec<(u32, u8)> = (0..100).map(|n| (n, 2)).collect();
        write(&store, &replaced, &[]);
        let step = view.next_step();
        assert!(matches!(
            step,
            Err(Error::SnapshotOverrun { max_bytes: 5000 })
        ));
        assert_eq!(store.get(&key(99)).unwrap(), Some(vec![2; 100]));
    }

    #[test]
    fn what_has_been_read_is_not_saved() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let numbers: Vec<(u32, u8)> = (0..2000).map(|n| (n, 1)).collect();
        write(&store, &numbers, &[]);
        let mut view = store.freeze(5000).unwrap();
        let read = view.next_step().unwrap().unwrap().len() as u32;
        let replaced: Vec<(u32, u8)> = (0..read).map(|n| (n, 2)).collect();
        write(&store, &replaced, &[]);
        assert_eq!(rest_of(&mut view).len(), 2000 - read as usize);
    }
}
