//! Rewriting a store, so that it takes no more room than its data needs.
//!
//! sled keeps old versions of pages until a whole segment of its log is free. The entries are
//! copied into a new store, compared with the old one, and the new folder takes the old one's place
//! by two renames. Killed at any moment, one of them is whole; [`data_folder::prepare`] finds it.

use std::path::Path;
use std::time::Duration;

use crate::data_folder::{self, REPLACED_FOLDER, REWRITTEN_FOLDER, STORE_FOLDER};
use crate::durable_files::{fsync_folder, remove_if_there};
use crate::lock_file::LockFile;
use crate::store::{FORMAT_VERSION, Filling, KeyRange, Store, check_room, stored_format};
use crate::{Error, IndexOptions};

/// Stores smaller than this are left alone unless asked: sled's log grows in steps that are large
/// beside them.
pub(crate) const MIN_WASTEFUL_BYTES: u64 = 64 << 20;
/// What a new store takes on the disk for each byte of live data, rounded up.
pub(crate) const STORE_BYTES_PER_LIVE_BYTE: u64 = 2;

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
    Compaction::new(data_folder, options, &lock).run()
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
    let compaction = Compaction::new(data_folder, options, lock);
    let (store, _) = compaction.open_compact(MIN_WASTEFUL_BYTES)?;
    Ok(store)
}

/// The steps, each of which may be the last.
struct Compaction<'a> {
    folder: &'a Path,
    options: &'a IndexOptions,
    lock: &'a LockFile,
}

impl<'a> Compaction<'a> {
    fn new(folder: &'a Path, options: &'a IndexOptions, lock: &'a LockFile) -> Self {
        Self {
            folder,
            options,
            lock,
        }
    }

    fn run(&self) -> Result<CompactionReport, Error> {
        let report = self.rewrite().inspect_err(|_| {
            // The next start removes what cannot be removed now.
            drop(fs_err::remove_dir_all(self.folder.join(REWRITTEN_FOLDER)));
        })?;
        self.rename(STORE_FOLDER, REPLACED_FOLDER)?;
        self.rename(REWRITTEN_FOLDER, STORE_FOLDER)?;
        self.remove_replaced()?;
        Ok(report)
    }

    /// Copies everything into a new store, makes it durable, and compares the two.
    fn rewrite(&self) -> Result<CompactionReport, Error> {
        remove_if_there(&self.folder.join(REWRITTEN_FOLDER))?;
        let old = self.open(STORE_FOLDER)?;
        if let Some(stored) = newer_format(&old)? {
            return Err(Error::NewerFormat {
                stored,
                supported: FORMAT_VERSION,
            });
        }
        let live_bytes = old.live_bytes();
        let needed = live_bytes.saturating_mul(STORE_BYTES_PER_LIVE_BYTE);
        check_room(self.folder, needed, self.options.min_free_disk_bytes)?;
        let new = self.open(REWRITTEN_FOLDER)?;
        let mut filling = Filling::new(&new);
        let mut entries = 0;
        for entry in old.scan(&KeyRange::everything()) {
            filling.add(entry?)?;
            entries += 1;
        }
        filling.finish()?;
        self.compare(&old, &new)?;
        Ok(CompactionReport {
            entries,
            live_bytes,
            before_bytes: old.size_on_disk()?,
            after_bytes: new.size_on_disk()?,
            pause: Duration::ZERO,
        })
    }

    fn compare(&self, old: &Store, new: &Store) -> Result<(), Error> {
        let everything = KeyRange::everything();
        let mut rewritten = new.scan(&everything);
        let mut place = 0;
        for entry in old.scan(&everything) {
            if rewritten.next().transpose()? != Some(entry?) {
                return Err(self.differs(place));
            }
            place += 1;
        }
        match rewritten.next() {
            None => Ok(()),
            Some(_) => Err(self.differs(place)),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        fs_err::rename(self.folder.join(from), self.folder.join(to))?;
        Ok(fsync_folder(self.folder)?)
    }

    fn remove_replaced(&self) -> Result<(), Error> {
        remove_if_there(&self.folder.join(REPLACED_FOLDER))?;
        Ok(fsync_folder(self.folder)?)
    }

    /// The open store, and whether it was rewritten before.
    fn open_compact(&self, min_bytes: u64) -> Result<(Store, bool), Error> {
        let store = self.open(STORE_FOLDER)?;
        if !self.is_wasteful(&store, min_bytes)? {
            return Ok((store, false));
        }
        drop(store);
        let is_rewritten = match self.run() {
            Ok(report) => {
                tracing::info!(
                    before_bytes = report.before_bytes,
                    after_bytes = report.after_bytes,
                    "the store was compacted"
                );
                true
            }
            Err(Error::StorageFull { .. }) => {
                tracing::warn!("the disk has no room to compact the store; it is opened as it is");
                false
            }
            Err(error) => return Err(error),
        };
        Ok((self.open(STORE_FOLDER)?, is_rewritten))
    }

    /// Whether a store is large and takes too much for its live data. One of a newer format is not
    /// ours to judge.
    fn is_wasteful(&self, store: &Store, min_bytes: u64) -> Result<bool, Error> {
        let Some(ratio) = self.options.compact_at_start_over_ratio else {
            return Ok(false);
        };
        let disk_bytes = store.size_on_disk()?;
        if disk_bytes < min_bytes || newer_format(store)?.is_some() {
            return Ok(false);
        }
        Ok(disk_bytes as f64 > ratio * store.live_bytes() as f64)
    }

    fn open(&self, folder: &str) -> Result<Store, Error> {
        Store::open(
            &self.folder.join(folder),
            self.options.store(),
            self.lock.clone(),
        )
    }

    fn differs(&self, entry: u64) -> Error {
        Error::RewriteDiffers {
            path: self.folder.join(STORE_FOLDER),
            entry,
        }
    }
}

/// The format of a store that a newer version has written.
fn newer_format(store: &Store) -> Result<Option<u32>, Error> {
    Ok(stored_format(store)?.filter(|stored| *stored > FORMAT_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Key, WriteBatch};
    use crate::{
        DocumentDraft, DocumentWrite, EncoderIdentity, Index, Metadata, NewPassage, StoredDocument,
    };

    fn open(folder: &Path) -> Index {
        let encoder = EncoderIdentity {
            id: "e".to_owned(),
            name: "n".to_owned(),
            dimensions: 2,
        };
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
        for left in [REWRITTEN_FOLDER, REPLACED_FOLDER] {
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
        for steps in 0..=4 {
            let folder = tempfile::tempdir().unwrap();
            let documents = churned(folder.path());
            let lock = LockFile::acquire(folder.path()).unwrap();
            let options = IndexOptions::default();
            let compaction = Compaction::new(folder.path(), &options, &lock);
            let run = [
                &(|| compaction.rewrite().map(drop)) as &dyn Fn() -> Result<(), Error>,
                &|| compaction.rename(STORE_FOLDER, REPLACED_FOLDER),
                &|| compaction.rename(REWRITTEN_FOLDER, STORE_FOLDER),
                &|| compaction.remove_replaced(),
            ];
            for step in &run[..steps] {
                step().unwrap();
            }
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
            let compaction = Compaction::new(folder.path(), &options, &lock);
            compaction.open_compact(min_bytes).unwrap().1
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
        let compaction = Compaction::new(folder.path(), &options, &lock);
        let store = compaction.open(STORE_FOLDER).unwrap();
        let mut batch = WriteBatch::default();
        let newer = (FORMAT_VERSION + 1).to_le_bytes();
        batch.put(&Key::format_version(), newer.to_vec());
        store.make_durable(store.apply(batch).unwrap()).unwrap();
        drop(store);
        assert!(!compaction.open_compact(0).unwrap().1);
        drop(lock);
        let error = compact(folder.path(), &options).unwrap_err();
        assert!(matches!(error, Error::NewerFormat { .. }), "{error}");
    }

    #[test]
    fn a_half_written_new_store_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let documents = churned(folder.path());
        let rewritten = folder.path().join(REWRITTEN_FOLDER);
        fs_err::create_dir(&rewritten).unwrap();
        let db = fs_err::read(folder.path().join(STORE_FOLDER).join("db")).unwrap();
        fs_err::write(rewritten.join("db"), &db[..db.len() / 3]).unwrap();
        assert_holds(folder.path(), &documents);
    }

    #[test]
    fn a_half_removed_old_store_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let documents = churned(folder.path());
        let replaced = folder.path().join(REPLACED_FOLDER);
        fs_err::create_dir(&replaced).unwrap();
        fs_err::write(replaced.join("conf"), "x").unwrap();
        assert_holds(folder.path(), &documents);
    }

    #[test]
    fn a_rewritten_store_that_differs_does_not_take_the_place_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        churned(folder.path());
        let lock = LockFile::acquire(folder.path()).unwrap();
        let options = IndexOptions::default();
        let compaction = Compaction::new(folder.path(), &options, &lock);
        let (old, new) = (
            compaction.open(STORE_FOLDER).unwrap(),
            compaction.open("other").unwrap(),
        );
        let error = compaction.compare(&old, &new).unwrap_err();
        assert!(matches!(error, Error::RewriteDiffers { entry: 0, .. }));
        let error = compaction.compare(&new, &old).unwrap_err();
        assert!(matches!(error, Error::RewriteDiffers { entry: 0, .. }));
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
