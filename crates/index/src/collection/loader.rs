//! Loading collections from the record.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::family::Family;
use super::folders::SegmentFolders;
use super::maintenance::Maintenance;
use super::state::{Published, State, WriterState};
use super::{Collection, Reader, Writer, documents, load, load_documents};
use crate::bell::Bell;
use crate::encoder_identity::stored_encoder;
use crate::memory::{MemoryBudget, MemoryShare};
use crate::named_collection::{HiddenGeneration, NamedCollection};
use crate::store::{CollectionRecord, GenerationState, GenerationsRecord, Key, KeyRange, Store};
use crate::{CollectionEncoder, CollectionSettings, Error};

/// What every collection of an index is made with.
#[derive(Debug)]
pub(crate) struct CollectionLoader {
    pub(crate) store: Arc<Store>,
    /// What collections have that do not name another.
    pub(crate) encoder: CollectionEncoder,
    pub(crate) folders: SegmentFolders,
    pub(crate) max_head_passages: usize,
    pub(crate) build_threads: usize,
    pub(crate) bell: Arc<Bell>,
    pub(crate) memory: Arc<MemoryBudget>,
}

impl CollectionLoader {
    /// Loads a collection, or makes one of a record that is not written yet.
    ///
    /// # Errors
    /// [`Error::DataOverMemory`], or a record that cannot be read.
    pub(crate) fn load(
        &self,
        name: String,
        record: &CollectionRecord,
        family: &Arc<Family>,
    ) -> Result<Arc<Collection>, Error> {
        let (folders, memory) = (self.folders.of(record.id), MemoryShare::new(&self.memory));
        let encoder = record.encoder.as_ref().unwrap_or(&self.encoder).clone();
        let dimensions = encoder.identity.dimensions;
        let counters = documents::counters(&self.store, record.id)?;
        let source = load::Source {
            store: &self.store,
            collection: record.id,
            dimensions,
            precision: record.settings.graph.precision,
            memory: &memory,
        };
        let vectors = Arc::new(load::vectors(&source, &folders.vectors, &counters)?);
        let CollectionSettings { lexical, words, .. } = record.settings;
        let words = lexical.then(|| (words, folders.words.open()));
        // Vectors count while words and metadata are loaded.
        memory.set(vectors.bytes());
        let documents = load_documents::documents(&source, words, &counters)?;
        let state = State {
            vectors,
            words: Arc::new(documents.words),
            metadata: Arc::new(documents.metadata),
        };
        memory.set(state.bytes());
        let published = Published {
            state: state.clone(),
            sequence: self.store.last_applied(),
        };
        let bell = Arc::clone(&self.bell);
        let reader = Arc::new(Reader {
            name,
            id: record.id,
            created_at_ms: record.created_at_ms,
            settings: ArcSwap::from_pointee(record.settings),
            encoder: ArcSwap::from_pointee(encoder),
            dimensions,
            store: Arc::clone(&self.store),
            memory: Arc::clone(&self.memory),
            published: ArcSwap::from_pointee(published),
            max_head_passages: self.max_head_passages,
        });
        let writer = Writer {
            reader: Arc::clone(&reader),
            state: Mutex::new(WriterState {
                counters,
                staged: state,
                deleted: false,
                lacks_documents: false,
            }),
            folders,
            maintenance: Maintenance::new(self.max_head_passages, self.build_threads, bell),
            memory,
            family: Arc::clone(family),
        };
        let writer = Arc::new(writer);
        Ok(Arc::new(Collection { reader, writer }))
    }

    /// Loads all generations of a collection.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn load_named(
        &self,
        name: &str,
        record: &CollectionRecord,
    ) -> Result<NamedCollection, Error> {
        let family = Arc::default();
        let load = |record, state| {
            let collection = self.load(name.to_owned(), record, &family)?;
            family.join(collection.writer(), state, || Ok(()))?;
            Ok::<_, Error>(collection)
        };
        let stored = generations_record(&self.store, name)?;
        let active = load(record, GenerationState::Active)?;
        let others = stored.others.iter().map(|other| {
            Ok(HiddenGeneration {
                number: other.number,
                state: other.state,
                collection: load(&other.record, other.state)?,
            })
        });
        Ok(NamedCollection {
            others: others.collect::<Result<_, Error>>()?,
            active,
            number: stored.active,
            next: stored.next,
            family: Arc::clone(&family),
        })
    }

    /// Loads all collections that the record has.
    pub(crate) fn load_all(&self) -> Result<BTreeMap<String, NamedCollection>, Error> {
        let records = collection_records(&self.store)?.into_iter();
        records
            .map(|(name, record)| {
                let named = self.load_named(&name, &record)?;
                Ok((name, named))
            })
            .collect()
    }
}

/// Loads every collection of a store and lets go of it: whether a start with this store would succeed.
pub(crate) fn check_loads(store: &Arc<Store>, scratch: &Path) -> Result<(), Error> {
    let encoder = stored_encoder(store)?;
    let encoder = encoder.ok_or_else(|| store.corrupt("the encoder's identity"))?;
    let loader = CollectionLoader {
        store: Arc::clone(store),
        encoder: CollectionEncoder::default_of(&encoder),
        // There are none: everything is read from the record.
        folders: SegmentFolders::below(scratch),
        max_head_passages: usize::MAX,
        build_threads: 1,
        bell: Arc::default(),
        memory: Arc::new(MemoryBudget::new(None)),
    };
    for (name, record) in collection_records(store)? {
        loader.load_named(&name, &record)?;
    }
    Ok(())
}

/// What is stored of the generations of a collection.
pub(crate) fn generations_record(store: &Store, name: &str) -> Result<GenerationsRecord, Error> {
    let Some(bytes) = store.get(&Key::generations(name))? else {
        return Ok(GenerationsRecord::default());
    };
    let record = GenerationsRecord::from_bytes(&bytes);
    record.ok_or_else(|| store.corrupt("the generations of a collection"))
}

/// The names and records of all collections.
pub(crate) fn collection_records(store: &Store) -> Result<Vec<(String, CollectionRecord)>, Error> {
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
