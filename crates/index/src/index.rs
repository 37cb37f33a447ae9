//! A data folder with its collections.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::collection::{Collection, Folders, LoadedParts, Maintenance, now_ms};
use crate::compaction::{CompactionReport, open_compact};
use crate::compactor::{Compactor, OnlineCompaction};
use crate::data_folder::{self, LEXICAL_FOLDER, SEGMENTS_FOLDER, STORE_FOLDER};
use crate::drops::Drops;
use crate::durable_files;
use crate::health::{Health, HealthCondition};
use crate::job_files::JobFiles;
use crate::lock_file::LockFile;
use crate::maintainer::{Bell, Collections, Maintainer, work_off};
use crate::memory::{MemoryBudget, MemoryShare, MemoryUse};
use crate::snapshots::{SnapshotFolder, SnapshotInfo};
use crate::store::{
    CollectionId, CollectionRecord, EncoderRecord, Key, KeyRange, Store, WriteBatch, check_format,
};
use crate::watch::Watch;
use crate::{Cancel, CollectionSettings, Error, IndexOptions, Progress, check_collection_name};

/// The collection that is always there.
pub const DEFAULT_COLLECTION: &str = "default";

/// The encoder whose vectors are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderIdentity {
    /// Equal for encoders whose vectors are comparable, and only for those.
    pub id: String,
    /// For people.
    pub name: String,
    /// Length of every vector.
    pub dimensions: usize,
}

/// Whether a collection was made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// It was made now, or made again because it was empty and had other settings.
    Created,
    /// It was there with these settings.
    Unchanged,
}

/// One data folder, open.
#[derive(Debug)]
pub struct Index {
    /// First, so that background work has ended before anything else is let go.
    _maintainer: Maintainer,
    _watch: Watch,
    compactor: Compactor,
    collections: Arc<Collections>,
    drops: Arc<Drops>,
    health: Arc<Health>,
    /// Held while collections are made or deleted.
    changing: Mutex<()>,
    default_settings: CollectionSettings,
    max_collections: usize,
    parts: CollectionParts,
    snapshots: SnapshotFolder,
    jobs: JobFiles,
    folder: PathBuf,
    store: Arc<Store>,
}

/// What every collection of an index is made with.
#[derive(Debug)]
struct CollectionParts {
    dimensions: usize,
    segments_folder: PathBuf,
    lexical_folder: PathBuf,
    max_head_passages: usize,
    build_threads: usize,
    bell: Arc<Bell>,
    memory: Arc<MemoryBudget>,
}

impl CollectionParts {
    fn load(
        &self,
        store: &Arc<Store>,
        name: String,
        record: CollectionRecord,
    ) -> Result<Arc<Collection>, Error> {
        let folders = Folders::new(&self.segments_folder, &self.lexical_folder, record.id);
        let bell = Arc::clone(&self.bell);
        let maintenance = Maintenance::new(self.max_head_passages, self.build_threads, bell);
        let parts = LoadedParts {
            store: Arc::clone(store),
            dimensions: self.dimensions,
            folders,
            maintenance,
            memory: MemoryShare::new(&self.memory),
        };
        Ok(Arc::new(Collection::load(name, record, parts)?))
    }
}

impl Index {
    /// Opens a data folder, or makes one, and loads all vectors.
    ///
    /// # Errors
    /// A folder in use, a damaged store, a newer format, or data made by another encoder.
    pub fn open(
        folder: &Path,
        encoder: &EncoderIdentity,
        options: &IndexOptions,
    ) -> Result<Self, Error> {
        fs_err::create_dir_all(folder)?;
        let lock = LockFile::acquire(folder)?;
        let had_store = data_folder::prepare(folder)?;
        let store = Arc::new(open_compact(folder, options, &lock)?);
        check_format(&store, had_store)?;
        if !had_store {
            data_folder::write_marker(folder)?;
        }
        check_encoder(&store, encoder)?;
        let parts = CollectionParts {
            dimensions: encoder.dimensions,
            segments_folder: folder.join(SEGMENTS_FOLDER),
            lexical_folder: folder.join(LEXICAL_FOLDER),
            max_head_passages: options.max_head_passages.max(1),
            build_threads: options.build_threads.max(1),
            bell: Arc::default(),
            memory: Arc::new(MemoryBudget::new(options.max_memory_bytes)),
        };
        let collections = load_collections(&store, &parts)?;
        let (segments, lexical) = (&parts.segments_folder, &parts.lexical_folder);
        for folder in [segments, lexical] {
            sweep_segments(folder, &collections);
        }
        let drops = Drops::new(Arc::clone(&store), segments.clone(), lexical.clone())?;
        let drops = Arc::new(drops);
        let collections = Arc::new(Collections::new(collections));
        let health = Arc::new(Health::default());
        let compaction = OnlineCompaction::new(folder, Arc::clone(&store));
        let index = Self {
            compactor: Compactor::start(compaction, options, &health)?,
            _watch: Watch::start(
                Arc::clone(&store),
                Arc::clone(&parts.memory),
                Arc::clone(&health),
            )?,
            _maintainer: Maintainer::start(
                Arc::clone(&parts.bell),
                Arc::clone(&collections),
                Arc::clone(&drops),
                Arc::clone(&health),
            )?,
            collections,
            drops,
            health,
            changing: Mutex::new(()),
            parts,
            snapshots: SnapshotFolder::open(
                folder,
                &options.snapshots,
                options.min_free_disk_bytes,
            )?,
            jobs: JobFiles::open(folder, Arc::clone(&store), options.min_free_disk_bytes)?,
            default_settings: options.default_settings,
            max_collections: options.max_collections,
            folder: folder.to_owned(),
            store,
        };
        if index.collection(DEFAULT_COLLECTION).is_err() {
            index.put_collection(DEFAULT_COLLECTION, &options.default_settings)?;
        }
        Ok(index)
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
        durable_files::remove_if_there(&folder.join(SEGMENTS_FOLDER))?;
        durable_files::remove_if_there(&folder.join(LEXICAL_FOLDER))?;
        Store::accept_loss(&store_folder, &lock)
    }

    /// A collection by its name.
    ///
    /// # Errors
    /// When there is none.
    pub fn collection(&self, name: &str) -> Result<Arc<Collection>, Error> {
        let collections = self
            .collections
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        collections
            .get(name)
            .cloned()
            .ok_or_else(|| Error::CollectionNotFound {
                name: name.to_owned(),
            })
    }

    /// All collections, ordered by name.
    pub fn collections(&self) -> Vec<Arc<Collection>> {
        let collections = self
            .collections
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        collections.values().cloned().collect()
    }

    /// Makes a collection, or finds it with these settings. An empty one takes new settings.
    ///
    /// # Errors
    /// [`Error::SettingsConflict`] when it holds documents and has other settings,
    /// [`Error::CollectionName`], [`Error::GraphSetting`] and [`Error::PassageSetting`] when one of
    /// them is not allowed, [`Error::TooManyCollections`].
    pub fn put_collection(
        &self,
        name: &str,
        settings: &CollectionSettings,
    ) -> Result<(Arc<Collection>, PutOutcome), Error> {
        check_collection_name(name)?;
        settings.check()?;
        self.store.check_writable()?;
        let changing = self.lock_changes();
        let existing = self.collection(name).ok();
        if let Some(collection) = &existing {
            if collection.settings() == *settings {
                return Ok((Arc::clone(collection), PutOutcome::Unchanged));
            }
            if collection.stats().documents > 0 {
                return Err(Error::SettingsConflict {
                    name: name.to_owned(),
                });
            }
        }
        // Looked at under the lock, so that requests at the same time do not each take the last place.
        let count = self.collections().len();
        if existing.is_none() && name != DEFAULT_COLLECTION && count >= self.max_collections {
            return Err(Error::TooManyCollections {
                max_collections: self.max_collections,
            });
        }
        let collection = self.replace(&changing, name, existing.as_deref(), *settings)?;
        Ok((collection, PutOutcome::Created))
    }

    /// Deletes a collection and everything in it. The default collection is there again at once,
    /// empty and with [`IndexOptions::default_settings`].
    ///
    /// # Errors
    /// When there is none, or the store fails; the collection is as it was then.
    pub fn delete_collection(&self, name: &str) -> Result<(), Error> {
        self.store.check_writable()?;
        let changing = self.lock_changes();
        let collection = self.collection(name)?;
        if name == DEFAULT_COLLECTION {
            self.replace(&changing, name, Some(&*collection), self.default_settings)?;
            return Ok(());
        }
        let mut batch = WriteBatch::freeing_room();
        batch.remove(&Key::collection(name));
        batch.put(&Key::dropped(collection.id()), Vec::new());
        collection.retire(|| self.commit(batch))?;
        let mut collections = self
            .collections
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        collections.remove(name);
        drop(collections);
        self.drops.clear(&collection);
        Ok(())
    }

    /// What keeps the index from a part of its work. Never waits for the disk.
    pub fn conditions(&self) -> Vec<HealthCondition> {
        // A write that has just failed is known before the next look.
        self.health
            .set(HealthCondition::WritesStopped, self.store.has_failed());
        let is_full = self.memory().is_full;
        self.health.set(HealthCondition::MemoryFull, is_full);
        self.health.conditions()
    }

    /// Where others say what they notice, and what background threads have been through.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Does all background work now, as if nothing were written for a while. Whether it succeeded;
    /// the log says why not.
    pub fn settle(&self) -> bool {
        let collections = self.collections();
        let mut outcomes = collections
            .iter()
            .map(|collection| work_off(collection, true));
        outcomes.all(|succeeded| succeeded)
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
        self.parts.memory.usage()
    }

    /// Bytes of all keys and values of the record.
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
        let collections = self.collections().into_iter();
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

    /// Puts a new, empty collection under a name, and drops the one that had it. Whatever can fail
    /// comes before the change is durable, and leaves the old one as it was.
    fn replace(
        &self,
        _changing: &MutexGuard<'_, ()>,
        name: &str,
        old: Option<&Collection>,
        settings: CollectionSettings,
    ) -> Result<Arc<Collection>, Error> {
        let id = self.next_collection_id()?;
        let record = CollectionRecord {
            id,
            created_at_ms: now_ms(),
            settings,
        };
        let collection = self.parts.load(&self.store, name.to_owned(), record)?;
        let mut batch = match old {
            Some(_) => WriteBatch::freeing_room(),
            None => WriteBatch::default(),
        };
        batch.put(&Key::next_collection(), (id.0 + 1).to_le_bytes().to_vec());
        batch.put(&Key::collection(name), record.to_bytes());
        match old {
            Some(old) => {
                batch.put(&Key::dropped(old.id()), Vec::new());
                old.retire(|| self.commit(batch))?;
            }
            None => self.commit(batch)?,
        }
        let mut collections = self
            .collections
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        collections.insert(name.to_owned(), Arc::clone(&collection));
        drop(collections);
        if let Some(old) = old {
            self.drops.clear(old);
        }
        Ok(collection)
    }

    fn commit(&self, batch: WriteBatch) -> Result<(), Error> {
        let sequence = self.store.apply(batch)?;
        self.store.make_durable(sequence)
    }

    fn next_collection_id(&self) -> Result<CollectionId, Error> {
        let Some(bytes) = self.store.get(&Key::next_collection())? else {
            return Ok(CollectionId(0));
        };
        let bytes: Result<[u8; 4], _> = bytes.as_slice().try_into();
        let id = bytes.map_err(|_| self.store.corrupt("the next collection's number"))?;
        Ok(CollectionId(u32::from_le_bytes(id)))
    }

    fn lock_changes(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares the encoder with the stored one. Data without any document takes the new one.
fn check_encoder(store: &Store, encoder: &EncoderIdentity) -> Result<(), Error> {
    let opened = EncoderRecord {
        id: encoder.id.clone(),
        name: encoder.name.clone(),
        dimensions: encoder.dimensions as u32,
    };
    if let Some(bytes) = store.get(&Key::encoder())? {
        let stored = EncoderRecord::from_bytes(&bytes)
            .ok_or_else(|| store.corrupt("the encoder's identity"))?;
        if stored.id == opened.id {
            return Ok(());
        }
        if holds_documents(store)? {
            return Err(Error::OtherEncoder {
                stored_id: stored.id,
                stored_name: stored.name,
                opened_id: opened.id,
                opened_name: opened.name,
            });
        }
    }
    let mut batch = WriteBatch::default();
    batch.put(&Key::encoder(), opened.to_bytes());
    let sequence = store.apply(batch)?;
    store.make_durable(sequence)
}

fn holds_documents(store: &Store) -> Result<bool, Error> {
    for (_, record) in collection_records(store)? {
        if store
            .scan(&KeyRange::documents_after(record.id, None))
            .next()
            .transpose()?
            .is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn collection_records(store: &Store) -> Result<Vec<(String, CollectionRecord)>, Error> {
    let mut records = Vec::new();
    for entry in store.scan(&KeyRange::collections()) {
        let (key, value) = entry?;
        let record = key
            .collection_name()
            .zip(CollectionRecord::from_bytes(&value));
        let (name, record) =
            record.ok_or_else(|| store.corrupt("a collection's record cannot be read"))?;
        records.push((name.to_owned(), record));
    }
    Ok(records)
}

fn load_collections(
    store: &Arc<Store>,
    parts: &CollectionParts,
) -> Result<BTreeMap<String, Arc<Collection>>, Error> {
    let records = collection_records(store)?.into_iter();
    records
        .map(|(name, record)| Ok((name.clone(), parts.load(store, name, record)?)))
        .collect()
}

/// Loads every collection of a store and lets go of it: whether a start with this store would succeed.
pub(crate) fn check_loads(store: &Arc<Store>, scratch: &Path) -> Result<(), Error> {
    let encoder = store.get(&Key::encoder())?;
    let encoder = encoder.and_then(|bytes| EncoderRecord::from_bytes(&bytes));
    let encoder = encoder.ok_or_else(|| store.corrupt("the encoder's identity"))?;
    let parts = CollectionParts {
        dimensions: encoder.dimensions as usize,
        // There are none: everything is read from the record.
        segments_folder: scratch.join(SEGMENTS_FOLDER),
        lexical_folder: scratch.join(LEXICAL_FOLDER),
        max_head_passages: usize::MAX,
        build_threads: 1,
        bell: Arc::default(),
        memory: Arc::new(MemoryBudget::new(None)),
    };
    for (name, record) in collection_records(store)? {
        parts.load(store, name, record)?;
    }
    Ok(())
}

/// Removes the segments of collections that are no more. What cannot be removed only takes up room.
fn sweep_segments(folder: &Path, collections: &BTreeMap<String, Arc<Collection>>) {
    let Ok(entries) = fs_err::read_dir(folder) else {
        // None have been made yet.
        return;
    };
    let used: Vec<String> = collections
        .values()
        .map(|collection| collection.id().0.to_string())
        .collect();
    for entry in entries.flatten() {
        let is_used = used.iter().any(|name| entry.file_name() == name.as_str());
        if !is_used && entry.path().is_dir() {
            fs_err::remove_dir_all(entry.path()).unwrap_or_else(|error| {
                tracing::warn!(%error, "segments of a deleted collection were not removed");
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::FORMAT_VERSION;
    use crate::{Chunking, PassageSize};

    #[test]
    fn a_folder_of_a_newer_format_is_refused_with_both_formats_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = EncoderIdentity {
            id: "e".to_owned(),
            name: "n".to_owned(),
            dimensions: 2,
        };
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
    fn a_snapshot_of_data_of_a_newer_format_is_refused_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = EncoderIdentity {
            id: "e".to_owned(),
            name: "n".to_owned(),
            dimensions: 2,
        };
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
        let encoder = EncoderIdentity {
            id: "e".to_owned(),
            name: "n".to_owned(),
            dimensions: 2,
        };
        let record = |settings| CollectionRecord {
            id: CollectionId(7),
            created_at_ms: 0,
            settings,
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
