//! The collections of an index by their names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::aliases::{AliasError, Aliases};
use crate::clock::now_ms;
use crate::collection::{Collection, CollectionLoader};
use crate::drops::Drops;
use crate::named_collection::NamedCollection;
use crate::store::{
    CollectionId, CollectionRecord, GenerationState, Key, WriteBatch, next_collection_id,
};
use crate::{CollectionEncoder, CollectionSettings, Error, IndexOptions, check_collection_name};

/// The collection that is always there.
pub const DEFAULT_COLLECTION: &str = "default";

/// What became of a collection that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// It was made now, or made again because it was empty and had other settings.
    Created,
    /// It was there, and has changed those of its settings that may change.
    Changed,
    /// It was there with these settings.
    Unchanged,
}

type ByName = BTreeMap<String, NamedCollection>;

/// All collections, and what makes and deletes them.
#[derive(Debug)]
pub(crate) struct Collections {
    pub(crate) by_name: RwLock<ByName>,
    /// Held while collections are made or deleted.
    changing: Mutex<()>,
    pub(crate) loader: CollectionLoader,
    pub(crate) aliases: Aliases,
    drops: Drops,
    default_settings: CollectionSettings,
    max_collections: usize,
}

impl Collections {
    /// Loads all collections, and makes the default one if it is not there.
    ///
    /// # Errors
    /// A store that cannot be read or written.
    pub(crate) fn open(loader: CollectionLoader, options: &IndexOptions) -> Result<Self, Error> {
        let by_name = loader.load_all()?;
        let ids: Vec<_> = by_name.values().flat_map(NamedCollection::ids).collect();
        loader.folders.sweep(&ids);
        let collections = Self {
            by_name: RwLock::new(by_name),
            changing: Mutex::new(()),
            aliases: Aliases::open(&loader.store, options.max_aliases)?,
            drops: Drops::new(Arc::clone(&loader.store), loader.folders.clone())?,
            loader,
            default_settings: options.default_settings,
            max_collections: options.max_collections,
        };
        if collections.get(DEFAULT_COLLECTION).is_err() {
            let encoder = collections.loader.encoder.clone();
            collections.put(DEFAULT_COLLECTION, &options.default_settings, &encoder)?;
        }
        Ok(collections)
    }

    /// The collection of a name, or of an alias.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<Collection>, Error> {
        Ok(self.named(name)?.active)
    }

    /// All collections, ordered by name.
    pub(crate) fn all(&self) -> Vec<Arc<Collection>> {
        let named = self.read();
        named
            .values()
            .map(|named| Arc::clone(&named.active))
            .collect()
    }

    /// All generations of all collections.
    pub(crate) fn all_generations(&self) -> Vec<Arc<Collection>> {
        self.read()
            .values()
            .flat_map(NamedCollection::all)
            .collect()
    }

    /// What makes the vectors of collections that name no encoder.
    pub(crate) fn default_encoder(&self) -> &CollectionEncoder {
        &self.loader.encoder
    }

    /// What deleted collections have left.
    pub(crate) fn drops(&self) -> &Drops {
        &self.drops
    }

    /// As [`crate::Index::put_collection`].
    pub(crate) fn put(
        &self,
        name: &str,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Result<(Arc<Collection>, PutOutcome), Error> {
        check_collection_name(name)?;
        settings.check()?;
        self.loader.store.check_writable()?;
        let changing = self.lock_changes();
        self.check_no_alias(name, "DELETE /aliases/{alias} frees the name")?;
        let existing = self.named(name).ok();
        if let Some(collection) = existing.as_ref().map(|named| &named.active) {
            let (before, made_by) = (collection.settings(), collection.encoder());
            if before == *settings && *made_by == *encoder {
                return Ok((Arc::clone(collection), PutOutcome::Unchanged));
            }
            // Another name for what made the vectors is no other encoder.
            let is_same_encoder = made_by.identity.id == encoder.identity.id;
            if is_same_encoder && before.may_become(settings) {
                let mut batch = WriteBatch::default();
                let record = collection.record_with(*settings, encoder);
                batch.put(&Key::collection(name), record.to_bytes());
                self.commit(batch)?;
                collection.take(*settings, encoder);
                return Ok((Arc::clone(collection), PutOutcome::Changed));
            }
            if collection.stats().documents > 0 {
                let name = name.to_owned();
                return Err(if is_same_encoder {
                    Error::SettingsConflict { name }
                } else {
                    Error::OtherEncoder {
                        name,
                        stored: Box::new(made_by.identity.clone()),
                        wanted: Box::new(encoder.identity.clone()),
                    }
                });
            }
        }
        // Looked at under the lock, so that requests at the same time do not each take the last place.
        let count = self.read().len();
        if existing.is_none() && name != DEFAULT_COLLECTION && count >= self.max_collections {
            return Err(Error::TooManyCollections {
                max_collections: self.max_collections,
            });
        }
        let collection = self.replace(&changing, name, existing, *settings, encoder)?;
        Ok((collection, PutOutcome::Created))
    }

    /// As [`crate::Index::delete_collection`].
    pub(crate) fn delete(&self, name: &str) -> Result<(), Error> {
        self.loader.store.check_writable()?;
        let changing = self.lock_changes();
        self.check_no_alias(name, "DELETE /aliases/{alias} deletes it")?;
        let collection = self.named(name)?;
        if name == DEFAULT_COLLECTION {
            let (settings, encoder) = (self.default_settings, &self.loader.encoder);
            self.replace(&changing, name, Some(collection), settings, encoder)?;
            return Ok(());
        }
        if let Some(alias) = self.aliases.of(name) {
            return Err(Error::Alias(AliasError::StandsFor {
                name: name.to_owned(),
                alias,
            }));
        }
        let mut batch = WriteBatch::freeing_room();
        batch.remove(&Key::collection(name));
        let feedback = self.retire(name, &collection, batch)?;
        self.write().remove(name);
        self.release(collection, feedback);
        Ok(())
    }

    /// Puts a new, empty collection under a name, and drops the one that had it. Whatever can fail
    /// comes before the change is durable, and leaves the old one as it was.
    fn replace(
        &self,
        _changing: &MutexGuard<'_, ()>,
        name: &str,
        old: Option<NamedCollection>,
        settings: CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Result<Arc<Collection>, Error> {
        let id = next_collection_id(&self.loader.store)?;
        let record = CollectionRecord {
            id,
            created_at_ms: now_ms(),
            settings,
            encoder: Some(encoder.clone()),
        };
        let family = Arc::default();
        let collection = self.loader.load(name.to_owned(), &record, &family)?;
        family.join(collection.writer(), GenerationState::Active, || Ok(()))?;
        let mut batch = match &old {
            Some(_) => WriteBatch::freeing_room(),
            None => WriteBatch::default(),
        };
        batch.put(&Key::next_collection(), (id.0 + 1).to_le_bytes().to_vec());
        batch.put(&Key::collection(name), record.to_bytes());
        let feedback = match &old {
            Some(old) => self.retire(name, old, batch)?,
            None => self.commit(batch).map(|()| None)?,
        };
        self.write().insert(
            name.to_owned(),
            NamedCollection::new(Arc::clone(&collection), family),
        );
        if let Some(old) = old {
            self.release(old, feedback);
        }
        Ok(collection)
    }

    /// Commits a batch after which no generation of a collection is there any more, and no feedback. Returns the
    /// number of that, which is left to be removed.
    fn retire(
        &self,
        name: &str,
        old: &NamedCollection,
        mut batch: WriteBatch,
    ) -> Result<Option<CollectionId>, Error> {
        let ids: Vec<_> = old.ids().collect();
        let feedback = self.feedback_record(name)?.map(|record| record.number);
        for id in ids.iter().chain(&feedback) {
            batch.put(&Key::dropped(*id), Vec::new());
        }
        batch.remove(&Key::generations(name));
        batch.remove(&Key::feedback(name));
        old.family.retire(&ids, || self.commit(batch))?;
        Ok(feedback)
    }

    /// Removes what a collection that is no more has left, once nobody reads it.
    fn release(&self, gone: NamedCollection, feedback: Option<CollectionId>) {
        let generations: Vec<_> = gone.all().collect();
        // Handles that nobody reads by.
        drop(gone);
        generations
            .into_iter()
            .for_each(|generation| self.drops.release(generation));
        if let Some(number) = feedback {
            self.drops.clear_number(number);
        }
    }

    pub(crate) fn commit(&self, batch: WriteBatch) -> Result<(), Error> {
        let sequence = self.loader.store.apply(batch)?;
        self.loader.store.make_durable(sequence)
    }

    pub(crate) fn lock_changes(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, ByName> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, ByName> {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner)
    }
}
