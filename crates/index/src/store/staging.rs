//! Large batches, staged before they are applied.
//!
//! 1. The changes are written down, in pieces under keys that nobody reads and the tally does not count.
//! 2. One small batch says that all pieces are there, and stores the tally of what is there once
//!    they have been applied. When it is durable, the large one is decided: reads see its changes from memory from
//!    then on.
//! 3. The changes are applied one after the other, and what was staged is removed, the key of 2 first.
//!
//! A start that finds the key of 2 does 3 again, as often as it takes: a change that has been applied is
//! what it was. A start that does not find it removes the pieces. sled's log ends somewhere after a crash and
//! holds everything before, so what 3 removes is gone only where all its changes are there.
//! In between other batches are applied, none of the same collection, whose writer waits here.

use std::path::Path;
use std::sync::Arc;

use super::guard::corrupt;
use super::value::{ValueReader, ValueWriter};
use super::write_batch::{Changes, WriteBatch, steps};
use super::{Key, KeyRange, MAX_VALUE_BYTES, Sequence, Store, lock};
use crate::Error;

const VERSION: u8 = 1;

impl Store {
    /// Applies a batch that is larger than a step. On return it is durable.
    pub(super) fn apply_staged(&self, batch: WriteBatch) -> Result<Sequence, Error> {
        let _staging = lock(&self.staging);
        let staged_bytes = batch.bytes();
        let changes = Arc::new(batch.into_changes());
        let outcome = self.stage(&changes).and_then(|head| {
            let (decided, changed_bytes) = self.decide(head, &changes, staged_bytes)?;
            self.pending.show(Arc::clone(&changes));
            self.apply_decided(&changes)?;
            Ok((decided, changed_bytes))
        });
        match outcome {
            Ok((decided, changed_bytes)) => {
                self.pending.clear();
                // What was staged has been added, and is dead.
                drop(self.reclaim_after(changed_bytes + 2 * staged_bytes));
                Ok(decided)
            }
            Err(error) => {
                // The next start finds out what is stored.
                self.durability.fail(&error);
                Err(error)
            }
        }
    }

    /// Does what a batch that was decided leaves to do, and removes one that was not.
    ///
    /// # Errors
    /// When the store fails, or what was staged cannot be read.
    pub(super) fn finish_staged(&self) -> Result<(), Error> {
        let _staging = lock(&self.staging);
        let folder = self.engine().folder().to_owned();
        match decided_changes(&folder, |key| self.get(key))? {
            Some(changes) => {
                tracing::info!(changes = changes.len(), "a large write is finished");
                self.apply_decided(&changes)
            }
            None => self.remove_staged(),
        }
    }

    /// Writes the changes down. Returns what says that they are there.
    fn stage(&self, changes: &Changes) -> Result<WriteBatch, Error> {
        let mut pieces = Pieces::default();
        for (key, value) in changes {
            pieces.add(key, value.as_deref());
            if pieces.batch.is_full() {
                self.apply_each(std::mem::take(&mut pieces.batch))?;
            }
        }
        let (last, head) = pieces.finish();
        self.apply_each(last)?;
        let mut decision = WriteBatch::default();
        decision.put(&Key::staged(), head);
        Ok(decision)
    }

    /// Makes it durable that the changes will be applied. Returns the bytes that they change, too.
    fn decide(
        &self,
        decision: WriteBatch,
        changes: &Changes,
        bytes: u64,
    ) -> Result<(Sequence, u64), Error> {
        let turn = self.turns.take();
        let mut contents = lock(&self.contents);
        self.durability.check()?;
        let engine = self.engine();
        let next = contents.next(changes, |key| engine.get(key))?;
        let changed_bytes = contents.changed_bytes(bytes, &next);
        let decided = self.apply_counted(turn, decision, next)?;
        *contents = next;
        drop(contents);
        self.make_durable(decided)?;
        Ok((decided, changed_bytes))
    }

    fn apply_decided(&self, changes: &Changes) -> Result<(), Error> {
        for step in steps(changes.iter()) {
            self.apply_each(step)?;
        }
        self.remove_staged()
    }

    /// Removes whatever was staged, in the order of keys: first the one that decides.
    fn remove_staged(&self) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        for entry in self.scan(&KeyRange::staged()) {
            batch.remove(&entry?.0);
            if batch.is_full() {
                self.apply_each(std::mem::take(&mut batch))?;
            }
        }
        self.apply_each(batch)
    }
}

/// The changes of a large batch that was decided and may not be applied whole.
///
/// # Errors
/// When they cannot be read.
pub(super) fn decided_changes<V: AsRef<[u8]>>(
    folder: &Path,
    stored: impl Fn(&Key) -> Result<Option<V>, Error>,
) -> Result<Option<Changes>, Error> {
    let Some(head) = stored(&Key::staged())? else {
        return Ok(None);
    };
    let unreadable = || corrupt(folder, "a large write that was interrupted cannot be read");
    let pieces = pieces_of(head.as_ref()).ok_or_else(unreadable)?;
    let mut bytes = Vec::new();
    for piece in 0..pieces {
        let piece = stored(&Key::staged_piece(piece))?;
        bytes.extend_from_slice(piece.ok_or_else(unreadable)?.as_ref());
    }
    decoded(&bytes).map(Some).ok_or_else(unreadable)
}

/// Changes as pieces that the store likes.
#[derive(Debug, Default)]
struct Pieces {
    /// Pieces that have not been written yet.
    batch: WriteBatch,
    /// The beginning of the next piece.
    rest: Vec<u8>,
    pieces: u32,
}

impl Pieces {
    fn add(&mut self, key: &Key, value: Option<&[u8]>) {
        let key = key.as_bytes();
        self.rest.extend((key.len() as u32).to_le_bytes());
        self.rest.extend(key);
        self.rest.push(u8::from(value.is_some()));
        if let Some(value) = value {
            self.rest.extend((value.len() as u32).to_le_bytes());
            self.rest.extend(value);
        }
        while self.rest.len() >= MAX_VALUE_BYTES {
            let rest = self.rest.split_off(MAX_VALUE_BYTES);
            let piece = std::mem::replace(&mut self.rest, rest);
            self.put(piece);
        }
    }

    fn put(&mut self, piece: Vec<u8>) {
        self.batch.put(&Key::staged_piece(self.pieces), piece);
        self.pieces += 1;
    }

    /// The last pieces, and the value that says how many there are.
    fn finish(mut self) -> (WriteBatch, Vec<u8>) {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.put(rest);
        }
        (
            self.batch,
            ValueWriter::version(VERSION).u32(self.pieces).finish(),
        )
    }
}

fn pieces_of(head: &[u8]) -> Option<u32> {
    let mut reader = ValueReader::version(head, VERSION)?;
    let pieces = reader.u32()?;
    reader.is_done().then_some(pieces)
}

fn decoded(bytes: &[u8]) -> Option<Changes> {
    let mut reader = ValueReader::plain(bytes);
    let mut changes = Changes::new();
    while !reader.is_done() {
        let key = Key::from_bytes(reader.bytes()?);
        let value = match reader.array()? {
            [0] => None,
            [1] => Some(reader.bytes()?.to_vec()),
            _ => return None,
        };
        changes.insert(key, value);
    }
    Some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock_file::LockFile;
    use crate::store::frozen_view::Entry;
    use crate::store::{CollectionId, StoreOptions};

    const KEYS: u32 = 2000;

    fn open(folder: &Path) -> Store {
        let lock = LockFile::acquire(folder).unwrap();
        Store::open(&folder.join("store"), StoreOptions::SMALL, lock).unwrap()
    }

    fn key(n: u32) -> Key {
        Key::passage(CollectionId(1), n)
    }

    /// More than one step: values, and removals of every tenth.
    fn large(value: u8) -> WriteBatch {
        let mut batch = WriteBatch::default();
        for n in 0..KEYS {
            match n % 10 {
                0 => batch.remove(&key(n)),
                _ => batch.put(&key(n), vec![value; 300]),
            }
        }
        assert!(!batch.is_one_step());
        batch
    }

    fn all(store: &Store) -> Vec<Entry> {
        let entries = store.scan(&KeyRange::everything());
        entries.collect::<Result<_, _>>().unwrap()
    }

    fn filled(folder: &Path) -> Store {
        let store = open(folder);
        let mut batch = WriteBatch::default();
        for n in 0..100 {
            batch.put(&key(n), vec![1; 10]);
        }
        store.make_durable(store.apply(batch).unwrap()).unwrap();
        store
    }

    #[test]
    fn a_large_batch_is_there_whole_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path());
        for value in [2, 3] {
            store
                .make_durable(store.apply(large(value)).unwrap())
                .unwrap();
            let stored = all(&store);
            assert_eq!(stored.len() as u32, KEYS / 10 * 9);
            assert!(stored.iter().all(|(_, bytes)| *bytes == [value; 300]));
        }
        let expected = all(&store);
        drop(store);
        // Opening compares with the tally.
        assert!(all(&open(folder.path())) == expected);
    }

    #[test]
    fn reads_see_a_decided_batch_before_it_is_applied_and_nothing_of_one_that_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path());
        let before = all(&store);
        let batch = large(2);
        let (bytes, changes) = (batch.bytes(), Arc::new(batch.into_changes()));
        let decision = store.stage(&changes).unwrap();
        let visible = |store: &Store| {
            let entries = all(store).into_iter();
            entries
                .filter(|(key, _)| !Key::is_staged(key.as_bytes()))
                .collect::<Vec<_>>()
        };
        assert!(visible(&store) == before);
        store.decide(decision, &changes, bytes).unwrap();
        store.pending.show(Arc::clone(&changes));
        let after = visible(&store);
        assert_eq!(after.len() as u32, KEYS / 10 * 9);
        assert_eq!(store.get(&key(10)).unwrap(), None);
        assert_eq!(store.get(&key(11)).unwrap(), Some(vec![2; 300]));
        store.apply_decided(&changes).unwrap();
        store.pending.clear();
        assert!(all(&store) == after);
    }

    #[test]
    fn a_start_finishes_a_batch_that_was_decided_wherever_it_was_interrupted() {
        for applied_steps in [0, 1, 3, 100] {
            let folder = tempfile::tempdir().unwrap();
            let store = filled(folder.path());
            let batch = large(2);
            let (bytes, changes) = (batch.bytes(), Arc::new(batch.into_changes()));
            let decision = store.stage(&changes).unwrap();
            store.decide(decision, &changes, bytes).unwrap();
            for step in steps(changes.iter()).take(applied_steps) {
                store.apply_each(step).unwrap();
            }
            // Another write, of other keys.
            let mut other = WriteBatch::default();
            other.put(&Key::format_version(), vec![7; 4]);
            store.make_durable(store.apply(other).unwrap()).unwrap();
            drop(store);

            let store = open(folder.path());
            let stored = all(&store);
            assert_eq!(stored.len() as u32, KEYS / 10 * 9 + 1, "{applied_steps}");
            assert!(stored[1..].iter().all(|(_, bytes)| *bytes == [2; 300]));
            drop(store);
            assert!(all(&open(folder.path())) == stored);
        }
    }

    #[test]
    fn a_start_removes_a_batch_that_was_not_decided() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path());
        let before = all(&store);
        drop(store.stage(&large(2).into_changes()).unwrap());
        assert!(all(&store).len() > before.len(), "nothing was staged");
        drop(store);
        let store = open(folder.path());
        assert!(all(&store) == before);
        drop(store);
        assert!(all(&open(folder.path())) == before);
    }

    #[test]
    fn a_decided_batch_that_has_lost_a_piece_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path());
        let batch = large(2);
        let (bytes, changes) = (batch.bytes(), batch.into_changes());
        let decision = store.stage(&changes).unwrap();
        store.decide(decision, &changes, bytes).unwrap();
        let mut piece = WriteBatch::default();
        piece.remove(&Key::staged_piece(3));
        store.apply_each(piece).unwrap();
        drop(store);
        let lock = LockFile::acquire(folder.path()).unwrap();
        let opened = Store::open(&folder.path().join("store"), StoreOptions::SMALL, lock);
        assert!(matches!(opened, Err(Error::Corrupt { .. })), "{opened:?}");
    }

    #[test]
    fn changes_are_read_as_they_were_staged() {
        let changes: Changes = (0..100)
            .map(|n| (key(n), (n % 3 > 0).then(|| vec![n as u8; n as usize * 90])))
            .collect();
        let mut pieces = Pieces::default();
        for (key, value) in &changes {
            pieces.add(key, value.as_deref());
        }
        let (batch, head) = pieces.finish();
        let mut bytes = Vec::new();
        for piece in 0..pieces_of(&head).unwrap() {
            let piece = batch.changes()[&Key::staged_piece(piece)].as_ref().unwrap();
            assert!(piece.len() <= MAX_VALUE_BYTES);
            bytes.extend(piece);
        }
        assert_eq!(decoded(&bytes), Some(changes));
        assert_eq!(decoded(&bytes[..bytes.len() - 1]), None);
    }
}
