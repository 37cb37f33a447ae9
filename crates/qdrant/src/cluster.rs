//! A cluster with all collections of a service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use qdrant_client::qdrant::{
    CreateCollection, Distance, FieldType, HnswConfigDiff, Modifier, QuantizationConfig,
    QuantizationType, ScalarQuantization, SparseVectorConfig, SparseVectorParams, VectorParams,
    VectorParamsMap, VectorsConfig, quantization_config, vectors_config,
};
use siamese_index::{
    CollectionEncoder, CollectionSettings, DEFAULT_COLLECTION, Error, KeptCollection, PutOutcome,
    check_collection_name,
};

use crate::connection::Connection;
use crate::document_point;
use crate::ids::Version;
use crate::passage_point::{self, MEANING};
use crate::reader::index_field;
use crate::registry::{Names, Registered, Registry, create, delete, no_vectors};
use crate::word_vector::WORDS;
use crate::write::now_ms;
use crate::{ClusterSettings, Reader, Writer};

/// How often the list of collections is read, which others change as well.
const REFRESH_EVERY: Duration = Duration::from_millis(500);
/// How often passages are looked for that do not count.
const SWEEP_EVERY: Duration = Duration::from_hours(6);
/// A write is over long before.
const MIN_SWEPT_AGE: Duration = Duration::from_mins(15);
/// Values of a vector are kept as bytes between these quantiles for a first comparison.
const QUANTILE: f32 = 0.99;

/// Collections on a Qdrant cluster.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) connection: Arc<Connection>,
    pub(crate) registry: Registry,
    pub(crate) settings: ClusterSettings,
    default_settings: CollectionSettings,
    default_encoder: CollectionEncoder,
    known: ArcSwap<Known>,
    /// Held while collections and aliases are made or deleted here.
    changing: Mutex<()>,
    /// Why the list of collections could not be read when it was last tried.
    unseen: Mutex<Option<String>>,
    /// The name of the collection that has answered last when each was asked in its turn.
    probed: Mutex<String>,
}

/// What was read of the list of names last.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) collections: BTreeMap<String, ClusterCollection>,
    /// By its name, what each stands for.
    pub(crate) aliases: BTreeMap<String, String>,
}

/// A collection: what reads it, and what writes it.
#[derive(Debug, Clone)]
pub struct ClusterCollection {
    /// What searches, gets, lists and counts.
    pub reader: Arc<Reader>,
    /// What plans, stores, changes and deletes.
    pub writer: Arc<Writer>,
}

impl Cluster {
    /// Connects, and makes the default collection if it is not there. The encoder is that of collections that name none.
    ///
    /// # Errors
    /// When the cluster does not answer, or refuses.
    pub fn open(
        settings: ClusterSettings,
        default_settings: CollectionSettings,
        default_encoder: CollectionEncoder,
    ) -> Result<Arc<Self>, Error> {
        let connection = Arc::new(Connection::new(&settings)?);
        Self::open_by(connection, settings, default_settings, default_encoder)
    }

    /// Connects to what another process has made, with the settings and the encoder of its default collection, for whoever
    /// has no model. Nothing where there are no collections with this prefix.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_as_found(settings: ClusterSettings) -> Result<Option<Arc<Self>>, Error> {
        let connection = Arc::new(Connection::new(&settings)?);
        let Some(registry) = Registry::find(&connection, &settings.prefix)? else {
            return Ok(None);
        };
        let Some(default) = registry
            .all(&connection)?
            .collections
            .remove(DEFAULT_COLLECTION)
        else {
            return Ok(None);
        };
        let KeptCollection {
            settings: default_settings,
            encoder,
            ..
        } = default.kept;
        Self::open_by(connection, settings, default_settings, encoder).map(Some)
    }

    fn open_by(
        connection: Arc<Connection>,
        settings: ClusterSettings,
        default_settings: CollectionSettings,
        default_encoder: CollectionEncoder,
    ) -> Result<Arc<Self>, Error> {
        let registry = Registry::open(&connection, &settings.prefix, settings.replicas.get())?;
        let cluster = Arc::new(Self {
            connection,
            registry,
            settings,
            default_settings,
            default_encoder,
            known: ArcSwap::default(),
            changing: Mutex::default(),
            unseen: Mutex::default(),
            probed: Mutex::default(),
        });
        cluster.refresh()?;
        if cluster.get(DEFAULT_COLLECTION).is_err() {
            cluster.put(
                DEFAULT_COLLECTION,
                &default_settings,
                &cluster.default_encoder,
            )?;
        }
        cluster.repeat("qdrant-refresh", REFRESH_EVERY, Self::look)?;
        cluster.repeat("qdrant-sweep", SWEEP_EVERY, Self::sweep)?;
        Ok(cluster)
    }

    /// The encoder of collections that name none.
    pub fn default_encoder(&self) -> &CollectionEncoder {
        &self.default_encoder
    }

    /// What keeps calls to the cluster from being made now, if anything does.
    pub fn trouble(&self) -> Option<String> {
        let unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        unseen.clone().or_else(|| self.connection.trouble())
    }

    /// The collection of a name, or that an alias of this name stands for, as it was known within the last second.
    ///
    /// # Errors
    /// [`Error::CollectionNotFound`].
    pub fn get(&self, name: &str) -> Result<ClusterCollection, Error> {
        let known = self.known.load();
        let found = known.collections.get(name);
        let found = found.or_else(|| known.collections.get(known.aliases.get(name)?));
        found.cloned().ok_or_else(|| Error::CollectionNotFound {
            name: name.to_owned(),
        })
    }

    /// All collections, ordered by name.
    pub fn all(&self) -> Vec<ClusterCollection> {
        self.known.load().collections.values().cloned().collect()
    }

    pub(crate) fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    /// Makes a collection with these settings, changes those settings of it that may change, or makes it again when it is
    /// empty.
    ///
    /// # Errors
    /// [`Error::SettingsConflict`] or [`Error::OtherEncoder`] for a collection with documents, too many collections, or a
    /// cluster that fails.
    pub fn put(
        &self,
        name: &str,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Result<(ClusterCollection, PutOutcome), Error> {
        check_collection_name(name)?;
        settings.check()?;
        let _changing = self.lock_changes();
        self.refresh()?;
        self.check_no_alias(name, "DELETE /aliases/{alias} frees the name")?;
        let before = self.get(name).ok();
        if let Some(collection) = &before {
            let registered = collection.reader.registered.load_full();
            let kept = &registered.kept;
            if kept.settings == *settings && kept.encoder == *encoder {
                return Ok((collection.clone(), PutOutcome::Unchanged));
            }
            let is_same_encoder = kept.encoder.identity.id == encoder.identity.id;
            if is_same_encoder && kept.settings.may_become(settings) {
                let changed = self.change(&registered, settings, encoder)?;
                return Ok((changed, PutOutcome::Changed));
            }
            if collection.reader.stats()?.documents > 0 {
                let name = name.to_owned();
                return Err(if is_same_encoder {
                    Error::SettingsConflict { name }
                } else {
                    Error::OtherEncoder {
                        name,
                        stored: Box::new(kept.encoder.identity.clone()),
                        wanted: Box::new(encoder.identity.clone()),
                    }
                });
            }
        }
        let max_collections = self.settings.max_collections;
        let count = self.known().collections.len();
        if before.is_none() && name != DEFAULT_COLLECTION && count >= max_collections {
            return Err(Error::TooManyCollections { max_collections });
        }
        let before = before.map(|collection| collection.reader.registered.load_full());
        let collection = self.replace(name, before.as_deref(), settings, encoder)?;
        Ok((collection, PutOutcome::Created))
    }

    /// Deletes a collection with all its documents; the default one is made again, empty.
    ///
    /// # Errors
    /// [`Error::CollectionNotFound`], or when the cluster fails.
    pub fn delete(&self, name: &str) -> Result<(), Error> {
        let _changing = self.lock_changes();
        self.refresh()?;
        self.check_no_alias(name, "DELETE /aliases/{alias} deletes it")?;
        let registered = self.get(name)?.reader.registered.load_full();
        if name == DEFAULT_COLLECTION {
            let (settings, encoder) = (self.default_settings, &self.default_encoder);
            self.replace(name, Some(&registered), &settings, encoder)?;
            return Ok(());
        }
        self.check_stands_alone(name)?;
        self.registry.remove(&self.connection, &registered)?;
        self.refresh()?;
        // Another process may have made an alias at the same moment. It looks once more whether the collection is there, after
        // it has made the alias, and takes the alias back: one of the two sees the other.
        if let Err(error) = self.check_stands_alone(name) {
            self.registry.put(&self.connection, &registered, None)?;
            self.refresh()?;
            return Err(error);
        }
        self.drop_collections(&registered)
    }

    /// Registers the same collection with settings that change in place.
    fn change(
        &self,
        before: &Registered,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Result<ClusterCollection, Error> {
        let wanted = Registered {
            kept: KeptCollection {
                settings: *settings,
                encoder: encoder.clone(),
                ..before.kept.clone()
            },
            ..before.clone()
        };
        self.registry.put(&self.connection, &wanted, Some(before))?;
        self.refresh()?;
        self.get(&before.name)
    }

    /// Makes a new, empty collection, and drops the one that had its name.
    fn replace(
        &self,
        name: &str,
        before: Option<&Registered>,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Result<ClusterCollection, Error> {
        let wanted = Registered {
            name: name.to_owned(),
            number: Version::new()?,
            kept: KeptCollection {
                created_at_ms: now_ms(),
                settings: *settings,
                encoder: encoder.clone(),
            },
        };
        self.make_collections(&wanted)?;
        let registered = self.registry.put(&self.connection, &wanted, before)?;
        self.refresh()?;
        let is_ours = registered.is_some_and(|registered| registered.number == wanted.number);
        match (is_ours, before) {
            // Somebody else was first.
            (false, _) => self.drop_collections(&wanted)?,
            (true, Some(before)) => self.drop_collections(before)?,
            (true, None) => {}
        }
        // Or has made an alias of this name.
        self.check_no_alias(name, "DELETE /aliases/{alias} frees the name")?;
        self.get(name)
    }

    fn make_collections(&self, wanted: &Registered) -> Result<(), Error> {
        let places = Reader::new(
            wanted.clone(),
            Arc::clone(&self.connection),
            &self.settings.prefix,
        );
        let ClusterSettings {
            shards,
            replicas,
            write_consistency,
            ..
        } = self.settings;
        let shared = CreateCollection {
            shard_number: Some(shards.get()),
            replication_factor: Some(replicas.get()),
            write_consistency_factor: Some(write_consistency.get()),
            ..CreateCollection::default()
        };
        create(
            &self.connection,
            &CreateCollection {
                collection_name: places.documents.clone(),
                vectors_config: no_vectors(),
                ..shared.clone()
            },
        )?;
        create(
            &self.connection,
            &CreateCollection {
                collection_name: places.passages.clone(),
                vectors_config: Some(vectors(&wanted.kept)),
                sparse_vectors_config: wanted.kept.settings.lexical.then(words),
                quantization_config: Some(quantization()),
                ..shared
            },
        )?;
        for (collection, field, field_type) in [
            (
                &places.passages,
                passage_point::DOCUMENT,
                FieldType::Keyword,
            ),
            (&places.passages, passage_point::VERSION, FieldType::Keyword),
            (&places.passages, passage_point::WRITTEN, FieldType::Integer),
            (
                &places.documents,
                document_point::VERSION,
                FieldType::Keyword,
            ),
        ] {
            index_field(&self.connection, collection, field, field_type, true)?;
        }
        Ok(())
    }

    fn drop_collections(&self, gone: &Registered) -> Result<(), Error> {
        let places = Reader::new(
            gone.clone(),
            Arc::clone(&self.connection),
            &self.settings.prefix,
        );
        for name in [&places.documents, &places.passages] {
            delete(&self.connection, name)?;
        }
        Ok(())
    }

    /// Reads the list of names. What is known already stays what it is.
    pub(crate) fn refresh(&self) -> Result<(), Error> {
        let Names {
            collections,
            aliases,
        } = self.registry.all(&self.connection)?;
        let known = self.known.load();
        let collections = collections.into_iter().map(|(name, registered)| {
            let same = known
                .collections
                .get(&name)
                .filter(|known| known.reader.registered.load().number == registered.number);
            let collection = match same {
                Some(known) => {
                    known.reader.registered.store(Arc::new(registered));
                    known.clone()
                }
                None => self.open_collection(registered),
            };
            (name, collection)
        });
        let collections = collections.collect();
        self.known.store(Arc::new(Known {
            collections,
            aliases,
        }));
        Ok(())
    }

    fn open_collection(&self, registered: Registered) -> ClusterCollection {
        let connection = Arc::clone(&self.connection);
        let reader = Arc::new(Reader::new(registered, connection, &self.settings.prefix));
        ClusterCollection {
            writer: Arc::new(Writer::new(Arc::clone(&reader))),
            reader,
        }
    }

    /// Starts a thread that works now and then until nobody uses the cluster any more.
    fn repeat(self: &Arc<Self>, name: &str, every: Duration, work: fn(&Self)) -> Result<(), Error> {
        let cluster = Arc::downgrade(self);
        let work = move || {
            let mut wait = Duration::ZERO;
            while let Some(cluster) = cluster.upgrade() {
                if wait.is_zero() {
                    work(&cluster);
                    wait = every;
                }
                drop(cluster);
                std::thread::sleep(REFRESH_EVERY);
                wait = wait.saturating_sub(REFRESH_EVERY);
            }
        };
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)?;
        Ok(())
    }

    /// Reads the list of collections, and remembers whether it could.
    fn look(&self) {
        let looked = self.refresh().and_then(|()| self.probe());
        let unseen = looked.err().map(|error| error.to_string());
        let mut known = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*known, &unseen) {
            (None, Some(trouble)) => tracing::warn!(trouble, "the cluster does not answer"),
            (Some(_), None) => tracing::info!("the cluster answers again"),
            _ => {}
        }
        *known = unseen;
    }

    /// Asks one collection after another for what all its shards know, and one that has failed until it answers: a shard
    /// without copies is known before somebody needs it.
    fn probe(&self) -> Result<(), Error> {
        let last = self.lock_probed().clone();
        let all = self.all();
        let next = all.iter().find(|it| it.reader.name() > last.as_str());
        let Some(next) = next.or(all.first()) else {
            return Ok(());
        };
        match next.reader.touch() {
            Ok(()) | Err(Error::CollectionNotFound { .. }) => {
                next.reader.name().clone_into(&mut self.lock_probed());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn sweep(&self) {
        for collection in self.all() {
            let name = collection.reader.name();
            match collection.writer.sweep(MIN_SWEPT_AGE) {
                Ok(0) => {}
                Ok(versions) => {
                    tracing::info!(name, versions, "removed passages that did not count");
                }
                Err(error) => tracing::debug!(name, %error, "passages cannot be swept"),
            }
        }
    }

    fn lock_probed(&self) -> MutexGuard<'_, String> {
        self.probed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_changes(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Vectors of length 1, so that their dot product is their cosine; Qdrant's own cosine would change their last bits.
fn vectors(kept: &KeptCollection) -> VectorsConfig {
    let graph = kept.settings.graph;
    let params = VectorParams {
        size: kept.encoder.identity.dimensions as u64,
        distance: Distance::Dot.into(),
        hnsw_config: Some(HnswConfigDiff {
            m: Some(graph.m as u64),
            ef_construct: Some(graph.ef_construction as u64),
            ..HnswConfigDiff::default()
        }),
        ..VectorParams::default()
    };
    VectorsConfig {
        config: Some(vectors_config::Config::ParamsMap(VectorParamsMap {
            map: [(MEANING.to_owned(), params)].into(),
        })),
    }
}

/// Words count by how rare they are, which Qdrant keeps.
fn words() -> SparseVectorConfig {
    let params = SparseVectorParams {
        modifier: Some(Modifier::Idf.into()),
        ..SparseVectorParams::default()
    };
    SparseVectorConfig {
        map: [(WORDS.to_owned(), params)].into(),
    }
}

fn quantization() -> QuantizationConfig {
    QuantizationConfig {
        quantization: Some(quantization_config::Quantization::Scalar(
            ScalarQuantization {
                r#type: QuantizationType::Int8.into(),
                quantile: Some(QUANTILE),
                ..ScalarQuantization::default()
            },
        )),
    }
}
