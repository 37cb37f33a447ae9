//! One sled database in one folder, which the store may exchange for another while it runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::blobs::Blobs;
use super::census::{Census, Pace, read_all};
use super::guard::guard;
use super::log_buffers::{Addition, Turn, Unfinished};
use super::progress::Progress;
use super::watermark::Watermark;
use super::{KeyRange, lock};
use crate::durable_files::tree_bytes;
use crate::file_identity::FileIdentity;
use crate::{Cancel, Error};

/// What sled calls its log.
const LOG_FILE: &str = "db";

/// A tree that holds nothing, ever: one page to change without effect.
const EMPTY_TREE: &str = "empty";
/// Changes of a page until sled writes it whole: `PAGE_CONSOLIDATION_THRESHOLD` of sled, and the one
/// that is written so.
const CHANGES_PER_WHOLE_PAGE: usize = 11;

/// Together two seconds of patience for sled's own lock.
const MAX_LOCK_RETRIES: usize = 100;
const LOCK_RETRY_PAUSE: Duration = Duration::from_millis(20);

/// An open database, and the number of its last acknowledged write beside it.
#[derive(Debug)]
pub(super) struct Engine {
    db: sled::Db,
    folder: PathBuf,
    watermark: Mutex<Watermark>,
    blobs: Blobs,
    /// sled's log, which it has open.
    log: FileIdentity,
    unfinished: Unfinished,
    /// Calls that have begun and not ended.
    progress: Arc<Progress>,
}

/// A key and its value, as sled has them.
type RawEntry = (sled::IVec, sled::IVec);

impl Engine {
    /// For a database that sled has opened in a folder. `progress` is told of all calls that write.
    pub(super) fn new(
        db: sled::Db,
        folder: &Path,
        watermark: Watermark,
        progress: Arc<Progress>,
    ) -> Result<Self, Error> {
        Ok(Self {
            db,
            folder: folder.to_owned(),
            watermark: Mutex::new(watermark),
            blobs: Blobs::open(folder)?,
            log: FileIdentity::of(&folder.join(LOG_FILE))?,
            unfinished: Unfinished::default(),
            progress,
        })
    }

    /// Which file sled's log is.
    pub(super) fn log(&self) -> &FileIdentity {
        &self.log
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, Error> {
        self.guarded(|| self.db.get(key))
    }

    /// Entries in the order of keys, the tally among them.
    pub(super) fn range(
        &self,
        range: &KeyRange,
    ) -> impl Iterator<Item = Result<RawEntry, Error>> + use<> {
        let mut entries = self.db.range(range.bounds());
        let folder = self.folder.clone();
        std::iter::from_fn(move || guard(&folder, || entries.next().transpose()).transpose())
    }

    /// Reads every entry.
    pub(super) fn census(&self, cancel: &Cancel, pace: Pace) -> Result<Census, Error> {
        read_all(&self.folder, &self.db, cancel, pace)
    }

    /// Applies all changes or none. They are durable after a [`Self::flush`]. There are no more than
    /// a step has.
    pub(super) fn apply<K: AsRef<[u8]>>(
        &self,
        changes: impl IntoIterator<Item = (K, Option<Vec<u8>>)>,
    ) -> Result<(), Error> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_ref(), value),
                None => batch.remove(key.as_ref()),
            }
        }
        self.add(&Turn::take(), Addition::Batch, || {
            self.db.apply_batch(batch)
        })
    }

    /// Applies one change after the other. Killed meanwhile, some are there and some are not.
    pub(super) fn apply_each<K: AsRef<[u8]>>(
        &self,
        changes: impl IntoIterator<Item = (K, Option<Vec<u8>>)>,
    ) -> Result<(), Error> {
        let turn = Turn::take();
        for (key, value) in changes {
            self.add(&turn, Addition::Key, || match value {
                Some(value) => self.db.insert(key, value),
                None => self.db.remove(key),
            })?;
        }
        Ok(())
    }

    /// Makes everything durable, then says that this much is. Everything must be on the disk before
    /// the watermark says so. Opens no file: a system without handles must not look like a disk that
    /// fails.
    pub(super) fn flush(&self, covered: u64) -> Result<(), Error> {
        let turn = Turn::take();
        self.unfinished.flush(&turn, || self.flush_sled())?;
        drop(turn);
        let _busy = self.progress.begin();
        self.blobs.sync(&self.folder)?;
        Ok(lock(&self.watermark).advance(covered)?)
    }

    /// Has sled take so many pages from its queue of those to write elsewhere, one whenever it
    /// writes a page whole. Returns the bytes of the log's segments that were filled.
    pub(super) fn reclaim(&self, pages: usize) -> Result<u64, Error> {
        let nothing = None::<&[u8]>;
        let turn = Turn::take();
        let tree = self.add(&turn, Addition::Key, || self.db.open_tree(EMPTY_TREE))?;
        for _ in 0..pages * CHANGES_PER_WHOLE_PAGE {
            // Removing a key that is not there would not be written; this is.
            let changed = || tree.compare_and_swap("", nothing, nothing);
            drop(self.add(&turn, Addition::Key, changed)?);
        }
        Ok(turn.filled_bytes())
    }

    /// The most log buffers that may have been in flight.
    #[cfg(test)]
    pub(super) fn most_unfinished(&self) -> u64 {
        self.unfinished.most()
    }

    #[cfg(test)]
    pub(super) fn has_reclaimed(&self) -> bool {
        self.db.tree_names().iter().any(|name| *name == EMPTY_TREE)
    }

    /// Says that a flush has failed.
    pub(super) fn doubt(&self) {
        // The disk fails already; nothing more can be done about a second failure.
        drop(lock(&self.watermark).doubt());
    }

    /// Bytes of all files.
    pub(super) fn size_on_disk(&self) -> Result<u64, Error> {
        Ok(tree_bytes(&self.folder)?)
    }

    /// Adds to the log, with no more buffers in flight than sled's threads can take.
    fn add<T>(
        &self,
        turn: &Turn,
        addition: Addition,
        add: impl FnOnce() -> sled::Result<T>,
    ) -> Result<T, Error> {
        let _busy = self.progress.begin();
        let flush = || self.flush_sled();
        self.unfinished
            .add(turn, addition, flush, || self.guarded(add))
    }

    fn flush_sled(&self) -> Result<(), Error> {
        let _busy = self.progress.begin();
        self.guarded(|| self.db.flush()).map(drop)
    }

    fn guarded<T>(&self, call: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
        guard(&self.folder, call)
    }
}

pub(super) fn open_sled(folder: &Path, cache_bytes: u64) -> Result<sled::Db, Error> {
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
    opened
}

/// Returns whether sled's own lock, which may outlive its last handle for a moment, is still held. No
/// other process can hold it, since ours is taken first.
fn is_locked(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.to_string().contains("could not acquire lock"))
}
