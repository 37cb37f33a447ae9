//! A data folder with its collections.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::collection::{Collection, CollectionLoader, SegmentFolders};
use crate::collections::{Collections, PutOutcome};
use crate::compaction::{Compaction, CompactionReport, open_compact};
use crate::compactor::Compactor;
use crate::data_folder;
use crate::encoder_identity::{
    CollectionEncoder, EncoderIdentity, settle_encoders, stored_encoder,
};
use crate::health::{Health, HealthCondition};
use crate::job_files::JobFiles;
use crate::lock_file::LockFile;
use crate::maintainer::{Maintainer, work_off};
use crate::memory::{MemoryBudget, MemoryUse};
use crate::snapshots::{SnapshotFolder, SnapshotInfo};
use crate::store::{Store, check_format};
use crate::successor::STORE_FOLDER;
use crate::watch::Watch;
use crate::{Cancel, CollectionSettings, Error, IndexOptions, Progress};

/// One data folder, open.
#[derive(Debug)]
pub struct Index {
    /// First, so that background work has ended before anything else is let go.
    _maintainer: Maintainer,
    _watch: Watch,
    compactor: Compactor,
    pub(crate) collections: Arc<Collections>,
    health: Arc<Health>,
    memory: Arc<MemoryBudget>,
    snapshots: SnapshotFolder,
    jobs: JobFiles,
    folder: PathBuf,
    store: Arc<Store>,
}

impl Index {
    /// Opens a data folder, or makes one, and loads all vectors. Collections that are made later have this
    /// encoder unless they name another; those that are there keep their own.
    ///
    /// # Errors
    /// A folder in use, a damaged store, or a newer format.
    pub fn open(
        folder: &Path,
        encoder: &EncoderIdentity,
        options: &IndexOptions,
    ) -> Result<Self, Error> {
        fs_err::create_dir_all(folder)?;
        Self::open_of(folder, options, |_| Ok(encoder.clone()))
    }

    /// Opens a data folder with the encoder that it was last opened with, for whoever has no model.
    ///
    /// # Errors
    /// [`Error::NoData`], and as [`Self::open`].
    pub fn open_as_found(folder: &Path, options: &IndexOptions) -> Result<Self, Error> {
        let no_data = || Error::NoData {
            path: folder.to_owned(),
        };
        if !data_folder::has_marker(folder) {
            return Err(no_data());
        }
        Self::open_of(folder, options, |store| {
            stored_encoder(store)?.ok_or_else(no_data)
        })
    }

    fn open_of(
        folder: &Path,
        options: &IndexOptions,
        encoder: impl FnOnce(&Store) -> Result<EncoderIdentity, Error>,
    ) -> Result<Self, Error> {
        let lock = LockFile::acquire(folder)?;
        let had_store = data_folder::prepare(folder)?;
        let store = Arc::new(open_compact(folder, options, &lock)?);
        check_format(&store, had_store)?;
        if !had_store {
            data_folder::write_marker(folder)?;
        }
        let encoder = encoder(&store)?;
        settle_encoders(&store, &encoder).map_err(|error| store.opening_error(error))?;
        let (bell, memory) = (Arc::default(), MemoryBudget::new(options.max_memory_bytes));
        let memory = Arc::new(memory);
        let loader = CollectionLoader {
            store: Arc::clone(&store),
            encoder: CollectionEncoder::default_of(&encoder),
            folders: SegmentFolders::below(folder),
            max_head_passages: options.max_head_passages.max(1),
            build_threads: options.build_threads.max(1),
            bell: Arc::clone(&bell),
            memory: Arc::clone(&memory),
        };
        let collections = Collections::open(loader, options);
        let collections = Arc::new(collections.map_err(|error| store.opening_error(error))?);
        let health = Arc::new(Health::default());
        let compaction = Compaction::new(folder, Arc::clone(&store));
        Ok(Self {
            compactor: Compactor::start(compaction, options, &health)?,
            _watch: Watch::start(Arc::clone(&store), Arc::clone(&memory), Arc::clone(&health))?,
            _maintainer: Maintainer::start(
                bell,
                Arc::clone(&collections),
                &store,
                Arc::clone(&health),
            )?,
            collections,
            health,
            memory,
            snapshots: SnapshotFolder::open(
                folder,
                &options.snapshots,
                options.min_free_disk_bytes,
            )?,
            jobs: JobFiles::open(folder, Arc::clone(&store), options.min_free_disk_bytes)?,
            folder: folder.to_owned(),
            store,
        })
    }

    /// Goes on with what is left of a data folder that has lost its last writes, as
    /// [`Error::LostWrites`] tells when it is opened. How many are given up.
    ///
    /// # Errors
    /// A folder in use, or a store with another damage.
    pub fn accept_loss(folder: &Path) -> Result<u64, Error> {
        let lock = LockFile::acquire(folder)?;
        data_folder::prepare(folder)?;
        let store_folder = folder.join(STORE_FOLDER);
        if !store_folder.join("db").is_file() {
            return Err(data_folder::missing_db(&store_folder));
        }
        // They may hold what is lost.
        SegmentFolders::below(folder).remove()?;
        Store::accept_loss(&store_folder, &lock)
    }

    /// A collection by its name.
    ///
    /// # Errors
    /// When there is none.
    pub fn collection(&self, name: &str) -> Result<Arc<Collection>, Error> {
        self.collections.get(name)
    }

    /// All collections, ordered by name.
    pub fn collections(&self) -> Vec<Arc<Collection>> {
        self.collections.all()
    }

    /// Makes a collection, or finds it with these settings. An empty one takes new settings, one with documents
    /// a new [`CollectionSettings::on_duplicate`].
    ///
    /// # Errors
    /// [`Error::SettingsConflict`] when it holds documents and has other settings,
    /// [`Error::CollectionName`], [`Error::GraphSetting`], [`Error::PassageSetting`] and
    /// [`Error::ScoreSetting`] when one of them is not allowed, [`Error::TooManyCollections`].
    pub fn put_collection(
        &self,
        name: &str,
        settings: &CollectionSettings,
    ) -> Result<(Arc<Collection>, PutOutcome), Error> {
        let encoder = self.collections.default_encoder();
        self.collections.put(name, settings, encoder)
    }

    /// As [`Self::put_collection`], for vectors of another encoder than those of collections that name none.
    /// Another name for the same encoder is taken.
    ///
    /// # Errors
    /// As [`Self::put_collection`], and [`Error::OtherEncoder`] when it holds documents of another encoder.
    pub fn put_collection_of(
        &self,
        name: &str,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Result<(Arc<Collection>, PutOutcome), Error> {
        self.collections.put(name, settings, encoder)
    }

    /// Deletes a collection and everything in it. The default collection is there again at once,
    /// empty and with [`IndexOptions::default_settings`].
    ///
    /// # Errors
    /// When there is none, or the store fails; the collection is as it was then.
    pub fn delete_collection(&self, name: &str) -> Result<(), Error> {
        self.collections.delete(name)
    }

    /// The encoder of collections that name none.
    pub fn default_encoder(&self) -> &CollectionEncoder {
        self.collections.default_encoder()
    }

    /// What keeps the index from a part of its work. Never waits for the disk.
    pub fn conditions(&self) -> Vec<HealthCondition> {
        // A write that has just failed is known before the next look.
        self.health
            .set(HealthCondition::WritesStopped, self.store.has_failed());
        self.health
            .set(HealthCondition::StorageDamaged, self.store.is_damaged());
        let is_full = self.memory().is_full;
        self.health.set(HealthCondition::MemoryFull, is_full);
        self.health.conditions()
    }

    /// Where others say what they notice, and what background threads have been through.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Does all background work now, as if nothing were written for a while. Returns whether it
    /// succeeded; the log says why not.
    pub fn settle(&self) -> bool {
        if self.check_contents().is_err() {
            return false;
        }
        let collections = self.collections.all_generations();
        let mut outcomes = collections
            .iter()
            .map(|collection| work_off(collection, true));
        outcomes.all(|succeeded| succeeded)
    }

    /// Returns when all that is stored has been compared with what should be, as [`IndexOptions::check`] may have
    /// left it to do. Reads need not wait for it; writes do.
    ///
    /// # Errors
    /// [`Error::WritesStopped`] when something else is there than was stored.
    pub fn check_contents(&self) -> Result<(), Error> {
        self.store.check_contents(&Cancel::default())
    }

    /// Returns whether [`Self::check_contents`] would have to wait.
    pub fn is_unchecked(&self) -> bool {
        self.store.is_unchecked()
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn flush(&self) -> Result<(), Error> {
        self.store.make_durable(self.store.last_applied())
    }

    /// Writes all collections as they are at this moment into a new file, while writes go on.
    ///
    /// # Errors
    /// [`Error::SnapshotInProgress`], [`Error::TooManySnapshots`], [`Error::StorageFull`] before
    /// anything is written; [`Error::SnapshotOverrun`] and [`Error::Cancelled`] later.
    pub fn create_snapshot(
        &self,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<SnapshotInfo, Error> {
        self.snapshots.create(&self.store, cancel, progress)
    }

    /// All snapshots, the oldest first.
    ///
    /// # Errors
    /// When their folder cannot be read.
    pub fn snapshots(&self) -> Result<Vec<SnapshotInfo>, Error> {
        self.snapshots.list()
    }

    /// The file of a snapshot, to read from.
    ///
    /// # Errors
    /// [`Error::SnapshotNotFound`]
    pub fn snapshot_file(&self, name: &str) -> Result<std::fs::File, Error> {
        self.snapshots.file(name)
    }

    /// Deletes a snapshot.
    ///
    /// # Errors
    /// [`Error::SnapshotNotFound`]
    pub fn delete_snapshot(&self, name: &str) -> Result<(), Error> {
        self.snapshots.delete(name)
    }

    /// The files of jobs.
    pub fn jobs(&self) -> &JobFiles {
        &self.jobs
    }

    /// Rewrites the store while it is in use, so that it takes no more room than its data needs.
    /// Writes wait for a moment at the end.
    ///
    /// # Errors
    /// [`Error::StorageFull`] before anything is written, [`Error::Cancelled`], or whatever it fails at;
    /// the store is as it was then.
    pub fn compact(&self, cancel: &Cancel, progress: &Progress) -> Result<CompactionReport, Error> {
        self.compactor.compact(cancel, progress)
    }

    /// For how long the oldest call that writes to the disk has been under way; zero when there is none.
    /// Each should take milliseconds.
    pub fn longest_write(&self) -> Duration {
        self.store.longest_call()
    }

    /// How much memory the data takes and how much it may take. Cheap enough for every probe.
    pub fn memory(&self) -> MemoryUse {
        self.memory.usage()
    }

    /// Bytes of all keys and values of the record; 0 while [`Self::is_unchecked`].
    pub fn live_bytes(&self) -> u64 {
        self.store.live_bytes()
    }

    /// Bytes of the record on the disk.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn store_bytes(&self) -> Result<u64, Error> {
        self.store.size_on_disk()
    }

    /// Bytes of the record on the disk, with those of a copy that is being made or removed.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn store_folders_bytes(&self) -> Result<u64, Error> {
        data_folder::store_folders_bytes(&self.folder)
    }

    /// Bytes of all files of the data.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn disk_bytes(&self) -> Result<u64, Error> {
        let collections = self.collections.all_generations().into_iter();
        let segments: u64 = collections
            .map(|collection| collection.stats())
            .map(|stats| stats.segment_bytes + stats.lexical_bytes)
            .sum();
        Ok(self.store_folders_bytes()? + segments)
    }

    #[cfg(test)]
    pub(crate) fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{CollectionId, CollectionRecord, FORMAT_VERSION, Key, WriteBatch};
    use crate::{Chunking, PassageSize};

    #[test]
    fn a_folder_of_a_newer_format_is_refused_with_both_formats_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = EncoderIdentity::of_test(2);
        let open = || Index::open(folder.path(), &encoder, &IndexOptions::default());
        let index = open().unwrap();
        let mut batch = WriteBatch::default();
        let newer = (FORMAT_VERSION + 1).to_le_bytes();
        batch.put(&Key::format_version(), newer.to_vec());
        index.store.apply(batch).unwrap();
        index.flush().unwrap();
        drop(index);
        for _ in 0..2 {
            let error = open().unwrap_err();
            assert!(
                matches!(error, Error::NewerFormat { stored, supported }
                    if stored == FORMAT_VERSION + 1 && supported == FORMAT_VERSION),
                "{error}"
            );
        }
    }

    #[test]
    fn a_folder_is_opened_as_found_with_the_encoder_that_made_it_and_nothing_is_made_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let (data, empty) = (folder.path().join("data"), folder.path().join("empty"));
        let encoder = EncoderIdentity::of_test(2);
        drop(Index::open(&data, &encoder, &IndexOptions::default()).unwrap());
        let found = Index::open_as_found(&data, &IndexOptions::default()).unwrap();
        assert_eq!(found.default_encoder().identity, encoder);
        let refused = Index::open_as_found(&empty, &IndexOptions::default());
        assert!(matches!(refused, Err(Error::NoData { .. })), "{refused:?}");
        assert!(!empty.exists());
    }

    #[test]
    fn a_snapshot_of_data_of_a_newer_format_is_refused_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = EncoderIdentity::of_test(2);
        let data = folder.path().join("data");
        let index = Index::open(&data, &encoder, &IndexOptions::default()).unwrap();
        let mut batch = WriteBatch::default();
        let newer = (FORMAT_VERSION + 1).to_le_bytes();
        batch.put(&Key::format_version(), newer.to_vec());
        index.store.apply(batch).unwrap();
        let snapshot = index
            .create_snapshot(&Cancel::default(), &Progress::default())
            .unwrap();
        let file = data.join("snapshots").join(snapshot.name);
        let target = folder.path().join("target");
        let error = crate::restore_snapshot(&file, &target, &IndexOptions::default()).unwrap_err();
        assert!(matches!(error, Error::NewerSnapshot { .. }), "{error}");
        assert!(!target.exists());
    }

    #[test]
    fn a_snapshot_that_could_not_be_opened_becomes_no_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = EncoderIdentity::of_test(2);
        let record = |settings| CollectionRecord {
            id: CollectionId(7),
            created_at_ms: 0,
            settings,
            encoder: None,
        };
        let with_long_overlap = CollectionSettings {
            chunking: Chunking::Fixed(PassageSize {
                max_tokens: 10,
                overlap_tokens: 9,
            }),
            ..CollectionSettings::default()
        };
        let usual = CollectionSettings::default();
        let entries: [(Key, Vec<u8>, &str); 3] = [
            (Key::collection("../x"), record(usual).to_bytes(), "letters"),
            (
                Key::collection("x"),
                record(with_long_overlap).to_bytes(),
                "overlap_tokens",
            ),
            (Key::counters(CollectionId(0)), vec![9], "counters"),
        ];
        for (number, (key, value, word)) in entries.into_iter().enumerate() {
            let data = folder.path().join(format!("data-{number}"));
            let index = Index::open(&data, &encoder, &IndexOptions::default()).unwrap();
            let mut batch = WriteBatch::default();
            batch.put(&key, value);
            index.store.apply(batch).unwrap();
            let snapshot = index
                .create_snapshot(&Cancel::default(), &Progress::default())
                .unwrap();
            let file = data.join("snapshots").join(snapshot.name);
            let target = folder.path().join("target");
            let restored = crate::restore_snapshot(&file, &target, &IndexOptions::default());
            let sentence = restored.unwrap_err().to_string();
            assert!(sentence.contains(word), "{sentence}");
            assert!(!target.exists());
        }
    }
}
