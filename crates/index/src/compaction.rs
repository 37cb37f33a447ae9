//! Rewriting a store, so that it takes no more room than its data needs.
//!
//! sled keeps old versions of pages until a whole segment of its log is free. The entries are copied into a new
//! store, also while the old one is written to (`store/rewriting.rs`), read back and compared, and the new one
//! takes the place of the old one (`successor.rs`).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::data_folder;
use crate::durable_files::{remove_if_there, tree_bytes};
use crate::lock_file::LockFile;
use crate::store::{Exchange, FORMAT_VERSION, Store, stored_format};
use crate::successor::{self, STORE_FOLDER, Successor};
use crate::{Cancel, Error, IndexOptions, Progress};

/// Stores smaller than this are left alone unless asked: sled's log grows in steps that are large
/// beside them.
pub(crate) const MIN_WASTEFUL_BYTES: u64 = 64 << 20;
/// What a new store takes on the disk for each byte of live data, rounded up.
const STORE_BYTES_PER_LIVE_BYTE: u64 = 2;
/// Pause between two looks at whether the old database is still read.
const READ_PAUSE: Duration = Duration::from_millis(20);

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionReport {
    /// Entries of the store.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub live_bytes: u64,
    /// Bytes on the disk before.
    pub before_bytes: u64,
    /// Bytes on the disk now.
    pub after_bytes: u64,
    /// For how long writes had to wait, when the store was in use.
    pub pause: Duration,
}

/// Rewrites the store of a data folder that no process has open.
///
/// # Errors
/// A folder without a store or in use, a damaged store, or a disk that has no room for a second
/// one. The store is as it was then.
pub fn compact(data_folder: &Path, options: &IndexOptions) -> Result<CompactionReport, Error> {
    let no_data = || Error::NoData {
        path: data_folder.to_owned(),
    };
    if !data_folder.is_dir() {
        return Err(no_data());
    }
    let lock = LockFile::acquire(data_folder)?;
    data_folder::prepare(data_folder)?;
    if !data_folder.join(STORE_FOLDER).join("db").is_file() {
        return Err(no_data());
    }
    rewrite(data_folder, open(data_folder, options, &lock)?)
}

/// Opens the store of a data folder. One that takes more than
/// [`IndexOptions::compact_at_start_over_ratio`] times its live data is rewritten first.
///
/// # Errors
/// A damaged store. One for which the disk has no room is left as it is.
pub(crate) fn open_compact(
    data_folder: &Path,
    options: &IndexOptions,
    lock: &LockFile,
) -> Result<Store, Error> {
    let (store, _) = open_compact_from(MIN_WASTEFUL_BYTES, data_folder, options, lock)?;
    Ok(store)
}

/// As [`open_compact`], of stores that take so many bytes at least. Also says whether it was rewritten.
fn open_compact_from(
    min_bytes: u64,
    data_folder: &Path,
    options: &IndexOptions,
    lock: &LockFile,
) -> Result<(Store, bool), Error> {
    let store = open(data_folder, options, lock)?;
    if !is_wasteful(&store, options, min_bytes)? {
        return Ok((store, false));
    }
    let is_rewritten = match rewrite(data_folder, store) {
        Ok(_) => true,
        Err(Error::StorageFull { .. }) => {
            tracing::warn!("the disk has no room to compact the store; it is opened as it is");
            false
        }
        Err(error) => return Err(error),
    };
    Ok((open(data_folder, options, lock)?, is_rewritten))
}

/// Rewrites a store that nobody else uses, and closes it.
fn rewrite(data_folder: &Path, store: Store) -> Result<CompactionReport, Error> {
    if let Some(stored) = newer_format(&store)? {
        return Err(Error::NewerFormat {
            stored,
            supported: FORMAT_VERSION,
        });
    }
    let compaction = Compaction::new(data_folder, Arc::new(store));
    let report = compaction.run(&Cancel::default(), &Progress::default())?;
    // Closed before it is moved.
    drop(compaction);
    successor::finish(data_folder)?;
    Ok(CompactionReport {
        pause: Duration::ZERO,
        ..report
    })
}

/// Returns whether a store is large and takes too much for its live data. One of a newer format is not ours to
/// judge.
fn is_wasteful(store: &Store, options: &IndexOptions, min_bytes: u64) -> Result<bool, Error> {
    let Some(ratio) = options.compact_at_start_over_ratio else {
        return Ok(false);
    };
    let disk_bytes = store.size_on_disk()?;
    if disk_bytes < min_bytes || newer_format(store)?.is_some() {
        return Ok(false);
    }
    if store.is_unchecked() {
        if options.compact_over_ratio.is_some() {
            // Its live data is counted while it is in use, and then it is compacted.
            return Ok(false);
        }
        store.check_contents(&Cancel::default())?;
    }
    Ok(disk_bytes as f64 > ratio * store.live_bytes() as f64)
}

fn open(data_folder: &Path, options: &IndexOptions, lock: &LockFile) -> Result<Store, Error> {
    let folder = data_folder.join(STORE_FOLDER);
    Store::open(&folder, options.store(), lock.clone())
}

/// The format of a store that a newer version has written.
fn newer_format(store: &Store) -> Result<Option<u32>, Error> {
    Ok(stored_format(store)?.filter(|stored| *stored > FORMAT_VERSION))
}

/// Compacts one open store.
#[derive(Debug)]
pub(crate) struct Compaction {
    folder: PathBuf,
    store: Arc<Store>,
    /// Ends what the thread does when the index is closed.
    closing: Cancel,
    /// One at a time, with the number of the folder that the store is in: 0 is its usual one.
    number: Mutex<u64>,
}

impl Compaction {
    /// For the store of a data folder, which is in its usual place.
    pub(crate) fn new(folder: &Path, store: Arc<Store>) -> Self {
        Self {
            folder: folder.to_owned(),
            store,
            closing: Cancel::default(),
            number: Mutex::default(),
        }
    }

    /// The store.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Ends a compaction of the thread when the index is closed.
    pub(crate) fn closing(&self) -> &Cancel {
        &self.closing
    }

    /// Rewrites the store, which may be in use.
    ///
    /// # Errors
    /// [`Error::StorageFull`] before anything is written; [`Error::RewriteOverrun`],
    /// [`Error::Cancelled`], or a failing disk. The store is as it was then.
    pub(crate) fn run(
        &self,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<CompactionReport, Error> {
        let mut number = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.check_contents(cancel)?;
        let before_bytes = self.store.size_on_disk()?;
        let room = self.store.live_bytes();
        self.store
            .check_room(room.saturating_mul(STORE_BYTES_PER_LIVE_BYTE))?;
        let successor = Successor::numbered(&self.folder, *number + 1);
        let next = successor.path();
        remove_if_there(&next)?;
        let copied = self.exchange(&successor, cancel, progress);
        let exchange = copied.inspect_err(|_| {
            // What may have been named is kept; the next start knows which one it is.
            if !self.store.has_failed() {
                successor.give_up();
            }
        })?;
        let old = self.folder_of(*number);
        *number += 1;
        self.remove(&exchange, &old, cancel)?;
        tracing::info!(
            before_bytes,
            after_bytes = tree_bytes(&next)?,
            pause_ms = exchange.pause.as_millis() as u64,
            "the store was compacted"
        );
        Ok(CompactionReport {
            entries: exchange.entries,
            live_bytes: exchange.live_bytes,
            before_bytes,
            after_bytes: tree_bytes(&next)?,
            pause: exchange.pause,
        })
    }

    fn exchange(
        &self,
        successor: &Successor,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<Exchange, Error> {
        progress.set_total(self.store.live_bytes());
        let mut copy = self.store.rewrite(&successor.path())?;
        while copy.copy_step()? {
            progress.set_done(copy.copied_bytes());
            cancel.check()?;
        }
        copy.verify(|| cancel.check())?;
        let named = successor.nominate()?;
        copy.exchange(|| Ok(named.commit().map(drop)?))
    }

    /// Removes what was replaced when nothing reads from it any more. The next start does so when
    /// the index is closed before.
    fn remove(&self, exchange: &Exchange, old: &Path, cancel: &Cancel) -> Result<(), Error> {
        while exchange.replaced.is_read() {
            if cancel.wait(READ_PAUSE) {
                return Ok(());
            }
        }
        Ok(remove_if_there(old)?)
    }

    fn folder_of(&self, number: u64) -> PathBuf {
        match number {
            0 => self.folder.join(STORE_FOLDER),
            number => Successor::numbered(&self.folder, number).path(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::open as open_store;
    use super::*;
    use crate::store::{Key, WriteBatch};
    use crate::{
        DocumentDraft, DocumentWrite, EncoderIdentity, Index, Metadata, NewPassage, StoredDocument,
    };

    fn open(folder: &Path) -> Index {
        let encoder = EncoderIdentity::of_test(2);
        Index::open(folder, &encoder, &IndexOptions::default()).unwrap()
    }

    fn write(n: usize, text: String) -> DocumentWrite {
        let passages = Some(vec![NewPassage {
            start: 0,
            end: text.len(),
            vector: vec![1.0, n as f32],
        }]);
        let draft = DocumentDraft {
            id: format!("d{n}"),
            title: None,
            text,
            metadata: Metadata::new(),
        };
        DocumentWrite { draft, passages }
    }

    /// A folder with documents that were written several times.
    fn churned(folder: &Path) -> Vec<StoredDocument> {
        let index = open(folder);
        let collection = index.collection("default").unwrap();
        for round in 0..4 {
            let writes: Vec<_> = (0..200)
                .map(|n| write(n, format!("{round} {n} ").repeat(50)))
                .collect();
            collection.writer().upsert(&writes).unwrap();
        }
        collection.reader().list(None, 1000).unwrap()
    }

    #[track_caller]
    fn assert_holds(folder: &Path, documents: &[StoredDocument]) {
        let index = open(folder);
        let collection = index.collection("default").unwrap();
        assert_eq!(collection.reader().list(None, 1000).unwrap(), documents);
        drop((collection, index));
        for left in ["store.1", "store.current"] {
            assert!(!folder.join(left).exists(), "{left} is still there");
        }
    }

    #[test]
    fn a_compacted_folder_holds_the_same_in_less_room() {
        let folder = tempfile::tempdir().unwrap();
        let documents = churned(folder.path());
        let report = compact(folder.path(), &IndexOptions::default()).unwrap();
        assert!(report.after_bytes < report.before_bytes, "{report:?}");
        assert!(report.live_bytes > 200 * 100, "{report:?}");
        assert_holds(folder.path(), &documents);
    }

    #[test]
    fn a_compaction_that_ends_after_any_step_loses_nothing() {
        for steps in 0..=4_usize {
            let folder = tempfile::tempdir().unwrap();
            let documents = churned(folder.path());
            let lock = LockFile::acquire(folder.path()).unwrap();
            let options = IndexOptions::default();
            let store = open_store(folder.path(), &options, &lock).unwrap();
            let successor = Successor::numbered(folder.path(), 1);
            let mut copy = store.rewrite(&successor.path()).unwrap();
            while copy.copy_step().unwrap() {}
            let named = successor.nominate().unwrap();
            if steps > 0 {
                copy.exchange(|| Ok(named.commit().map(drop)?)).unwrap();
            } else {
                drop(copy);
            }
            drop(store);
            let old = folder.path().join(STORE_FOLDER);
            let run: [&dyn Fn(); 3] = [
                &|| fs_err::remove_file(old.join("db")).unwrap(),
                &|| fs_err::remove_dir_all(&old).unwrap(),
                &|| fs_err::rename(successor.path(), &old).unwrap(),
            ];
            run[..steps.saturating_sub(1)]
                .iter()
                .for_each(|step| step());
            drop(lock);
            assert_holds(folder.path(), &documents);
            compact(folder.path(), &options).unwrap();
            assert_holds(folder.path(), &documents);
        }
    }

    #[test]
    fn a_store_is_compacted_at_the_start_when_it_is_large_and_over_the_ratio_only() {
        let folder = tempfile::tempdir().unwrap();
        let documents = churned(folder.path());
        let lock = LockFile::acquire(folder.path()).unwrap();
        let run = |min_bytes, ratio, min_free_disk_bytes| {
            let options = IndexOptions {
                compact_at_start_over_ratio: ratio,
                min_free_disk_bytes,
                ..IndexOptions::default()
            };
            open_compact_from(min_bytes, folder.path(), &options, &lock)
                .unwrap()
                .1
        };
        assert!(!run(0, None, 0));
        assert!(!run(0, Some(1e6), 0));
        assert!(!run(1 << 40, Some(1.1), 0));
        assert!(!run(0, Some(1.1), 1 << 60), "there is no room");
        assert!(run(0, Some(1.1), 0));
        drop(lock);
        assert_holds(folder.path(), &documents);
    }

    #[test]
    fn a_store_of_a_newer_format_is_not_rewritten() {
        let folder = tempfile::tempdir().unwrap();
        churned(folder.path());
        let lock = LockFile::acquire(folder.path()).unwrap();
        let options = IndexOptions {
            compact_at_start_over_ratio: Some(1.1),
            ..IndexOptions::default()
        };
        let store = open_store(folder.path(), &options, &lock).unwrap();
        let mut batch = WriteBatch::default();
        let newer = (FORMAT_VERSION + 1).to_le_bytes();
        batch.put(&Key::format_version(), newer.to_vec());
        store.make_durable(store.apply(batch).unwrap()).unwrap();
        drop(store);
        assert!(
            !open_compact_from(0, folder.path(), &options, &lock)
                .unwrap()
                .1
        );
        drop(lock);
        let error = compact(folder.path(), &options).unwrap_err();
        assert!(matches!(error, Error::NewerFormat { .. }), "{error}");
    }

    #[test]
    fn a_half_written_new_store_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let documents = churned(folder.path());
        let rewritten = Successor::numbered(folder.path(), 1).path();
        fs_err::create_dir(&rewritten).unwrap();
        let db = fs_err::read(folder.path().join(STORE_FOLDER).join("db")).unwrap();
        fs_err::write(rewritten.join("db"), &db[..db.len() / 3]).unwrap();
        assert_holds(folder.path(), &documents);
    }

    #[test]
    fn a_folder_without_a_store_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        for path in [folder.path(), &missing] {
            let outcome = compact(path, &IndexOptions::default());
            assert!(matches!(outcome, Err(Error::NoData { .. })));
        }
        assert!(!missing.exists());
        assert!(!folder.path().join(STORE_FOLDER).exists());
    }
}
