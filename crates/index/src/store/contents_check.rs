//! Comparing all that is stored with the tally: before a store is opened, or while it is read.
//!
//! A store that was acknowledged as it is may be read before it has been compared. Nothing is written
//! meanwhile: whoever writes, copies or takes a snapshot waits for the comparison, or makes it if nobody
//! does. So what is acknowledged is acknowledged of a store that is whole, and the entries stand still
//! while they are read.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use super::census::Pace;
use super::guard::corrupt;
use super::tally::{Contents, Tally};
use super::{Store, lock};
use crate::{Cancel, Error};

/// When everything that is stored is compared with the tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContentCheck {
    /// Before the store is read from. A damaged one is not opened.
    #[default]
    BeforeReads,
    /// Before the store is written to. It is opened and read meanwhile; a damaged one is written to no more, and
    /// is not opened the next time.
    BeforeWrites,
}

/// Whether the comparison has been made.
#[derive(Debug, Default)]
pub(super) struct DueCheck {
    /// What is to be found. Held while everything is read.
    stored: Mutex<Option<Tally>>,
    is_due: AtomicBool,
    /// What was found in place of what was stored.
    damage: OnceLock<String>,
}

impl DueCheck {
    /// Of a store that has not been read yet and should hold this.
    pub(super) fn of(stored: Tally) -> Self {
        Self {
            stored: Mutex::new(Some(stored)),
            is_due: AtomicBool::new(true),
            damage: OnceLock::new(),
        }
    }

    fn end(&self, stored: &mut Option<Tally>) {
        *stored = None;
        self.is_due.store(false, Ordering::Release);
    }
}

impl Store {
    /// Compares all that is stored with the tally, unless that has been done; waits when somebody else does it.
    ///
    /// It takes half of the cores, since others read, and at the usual priority, since others wait to write.
    ///
    /// # Errors
    /// [`Error::Cancelled`], and the check is still due; [`Error::WritesStopped`] when the store holds
    /// something else than was stored.
    pub(crate) fn check_contents(&self, cancel: &Cancel) -> Result<(), Error> {
        if self.is_unchecked() {
            self.make_due_check(cancel)?;
        }
        match self.is_damaged() {
            true => self.durability.check(),
            false => Ok(()),
        }
    }

    fn make_due_check(&self, cancel: &Cancel) -> Result<(), Error> {
        let mut due = lock(&self.check.stored);
        let Some(stored) = *due else {
            return Ok(());
        };
        let engine = self.engine();
        let started = Instant::now();
        let counted = engine.census(cancel, Pace::BesideOthers);
        match counted.and_then(|census| compared(engine.folder(), stored, census.counted)) {
            Ok(contents) => {
                *lock(&self.contents) = contents;
                self.check.end(&mut due);
                log_read(&contents, started);
            }
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => {
                tracing::error!(%error, "nothing more is written");
                self.durability.fail(&error);
                // The next opening reads what the disk has before anything else, and refuses it.
                engine.doubt();
                self.check.damage.get_or_init(|| match error {
                    Error::Corrupt { reason, .. } => reason,
                    other => other.to_string(),
                });
                self.check.end(&mut due);
            }
        }
        Ok(())
    }

    /// Returns whether it is not known yet that everything is there.
    pub(crate) fn is_unchecked(&self) -> bool {
        self.check.is_due.load(Ordering::Acquire)
    }

    /// Returns whether something else was found than was stored.
    pub(crate) fn is_damaged(&self) -> bool {
        self.check.damage.get().is_some()
    }

    /// What an opening says that has failed: that the store is damaged, if that has been found meanwhile.
    pub(crate) fn opening_error(&self, error: Error) -> Error {
        match self.check.damage.get() {
            Some(damage) => self.corrupt(damage),
            None => error,
        }
    }
}

/// What was counted, if it is what was stored.
///
/// # Errors
/// Anything else.
pub(super) fn compared(folder: &Path, stored: Tally, counted: Contents) -> Result<Contents, Error> {
    if counted.tally == stored {
        return Ok(counted);
    }
    let reason = format!(
        "it holds {} entries that are not what was stored, which were {}",
        counted.tally.entries(),
        stored.entries()
    );
    Err(corrupt(folder, reason))
}

/// Tells that everything was read, and for how long.
pub(super) fn log_read(counted: &Contents, started: Instant) {
    tracing::info!(
        entries = counted.tally.entries(),
        took_ms = started.elapsed().as_millis() as u64,
        "the store was read"
    );
}

#[cfg(test)]
mod tests {
    use super::super::engine::open_sled;
    use super::super::watermark::Watermark;
    use super::super::{FORMAT_VERSION, Key, Sequence, StoreOptions, WriteBatch};
    use super::*;
    use crate::lock_file::LockFile;
    use crate::store::CollectionId;

    const OPTIONS: StoreOptions = StoreOptions {
        check: ContentCheck::BeforeWrites,
        ..StoreOptions::SMALL
    };

    fn open(folder: &Path) -> Result<Store, Error> {
        let lock = LockFile::acquire(folder).unwrap();
        Store::open(&folder.join("store"), OPTIONS, lock)
    }

    fn written(store: &Store, document: u32) -> Result<Sequence, Error> {
        let mut batch = WriteBatch::default();
        let format = FORMAT_VERSION.to_le_bytes().to_vec();
        batch.put(&Key::format_version(), format);
        batch.put(&key(document), vec![7; 100]);
        let sequence = store.apply(batch)?;
        store.make_durable(sequence)?;
        Ok(sequence)
    }

    fn key(document: u32) -> Key {
        Key::body(CollectionId(0), document, 0)
    }

    /// A store of ten entries.
    fn filled() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        assert!(!store.is_unchecked(), "of a new one nothing is known");
        for document in 0..9 {
            written(&store, document).unwrap();
        }
        folder
    }

    /// Changes something behind the store's back.
    fn change(folder: &Path, change: impl FnOnce(&sled::Db)) {
        let db = open_sled(&folder.join("store"), 1 << 20).unwrap();
        change(&db);
        db.flush().unwrap();
    }

    #[test]
    fn a_whole_store_is_read_at_once_and_counted_before_it_is_written_to() {
        let folder = filled();
        let store = open(folder.path()).unwrap();
        assert!(store.is_unchecked());
        assert_eq!(store.live_bytes(), 0);
        assert_eq!(store.get(&key(3)).unwrap(), Some(vec![7; 100]));
        assert!(store.is_unchecked(), "reads do not wait for it");
        written(&store, 9).unwrap();
        assert!(!store.is_unchecked() && !store.is_damaged());
        assert!(store.live_bytes() > 1000);
        store.check_contents(&Cancel::default()).unwrap();
    }

    #[test]
    fn writers_that_come_together_wait_for_one_check() {
        let folder = filled();
        let store = open(folder.path()).unwrap();
        std::thread::scope(|scope| {
            for document in 10..18 {
                let store = &store;
                scope.spawn(move || written(store, document).unwrap());
            }
        });
        drop(store);
        let store = open(folder.path()).unwrap();
        store.check_contents(&Cancel::default()).unwrap();
        for document in 10..18 {
            assert!(store.get(&key(document)).unwrap().is_some());
        }
    }

    #[test]
    fn what_is_missing_ends_writes_and_copies_and_is_refused_at_the_next_opening() {
        for gone in [0, 4, 8] {
            let folder = filled();
            change(folder.path(), |db| {
                db.remove(key(gone).as_bytes()).unwrap().unwrap();
            });
            let store = open(folder.path()).unwrap();
            let copy = folder.path().join("store.1");
            for _ in 0..2 {
                let outcomes = [
                    written(&store, 20).map(drop),
                    store.freeze(1 << 20).map(drop),
                    store.rewrite(&copy).map(drop),
                    store.check_contents(&Cancel::default()),
                ];
                for outcome in outcomes {
                    assert!(matches!(outcome, Err(Error::WritesStopped { .. })));
                }
            }
            assert!(store.is_damaged() && store.has_failed() && !copy.exists());
            assert_eq!(store.get(&key(2)).unwrap(), Some(vec![7; 100]));
            assert_eq!(store.get(&key(20)).unwrap(), None);
            drop(store);
            for _ in 0..2 {
                assert!(matches!(open(folder.path()), Err(Error::Corrupt { .. })));
            }
        }
    }

    #[test]
    fn a_check_that_was_given_up_is_still_due() {
        let folder = filled();
        let store = open(folder.path()).unwrap();
        let cancel = Cancel::default();
        cancel.cancel();
        let outcome = store.check_contents(&cancel);
        assert!(matches!(outcome, Err(Error::Cancelled)));
        assert!(store.is_unchecked() && !store.is_damaged() && !store.has_failed());
        written(&store, 9).unwrap();
        assert!(!store.is_unchecked());
    }

    #[test]
    fn a_store_with_anything_to_put_right_is_compared_before_it_is_read() {
        let staged = |db: &sled::Db| {
            db.insert(Key::staged_piece(3).as_bytes(), vec![1]).unwrap();
        };
        let older = |db: &sled::Db| {
            let tally = Tally::from_bytes(&db.get(Key::tally().as_bytes()).unwrap().unwrap());
            let mut tally = tally.unwrap();
            let (format, key) = (FORMAT_VERSION.to_le_bytes(), Key::format_version());
            tally.take_out(key.as_bytes(), &format);
            tally.put_in(key.as_bytes(), &[8, 0, 0, 0]);
            db.insert(key.as_bytes(), &[8, 0, 0, 0]).unwrap();
            db.insert(Key::tally().as_bytes(), tally.to_bytes())
                .unwrap();
        };
        type Change<'a> = &'a dyn Fn(&Path);
        let changes: [(&str, Change<'_>); 4] = [
            ("a large write left pieces", &|folder| {
                change(folder, staged)
            }),
            ("an older format", &|folder| change(folder, older)),
            ("no note of what was acknowledged", &|folder| {
                fs_err::remove_file(Watermark::path(&folder.join("store"))).unwrap();
            }),
            ("a flush had failed", &|folder| {
                open(folder).unwrap().engine().doubt();
            }),
        ];
        for (what, change) in changes {
            let folder = filled();
            change(folder.path());
            let store = open(folder.path()).unwrap();
            assert!(!store.is_unchecked(), "{what}");
            assert!(store.live_bytes() > 0, "{what}");
        }
    }

    #[test]
    fn a_lost_end_is_refused_before_anything_is_read() {
        let folder = filled();
        drop(Watermark::create(&folder.path().join("store"), 99).unwrap());
        let outcome = open(folder.path());
        assert!(matches!(outcome, Err(Error::LostWrites { .. })));
    }
}
