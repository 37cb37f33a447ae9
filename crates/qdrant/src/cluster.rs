//! A cluster with all collections of a service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use siamese_index::{
    CollectionEncoder, CollectionSettings, DEFAULT_COLLECTION, Error, KeptCollection, PutOutcome,
    check_collection_name,
};

use crate::connection::Connection;
use crate::family::Family;
use crate::ids::Version;
use crate::registered::{Entry, Registered};
use crate::registry::{Names, Registry};
use crate::write::now_ms;
use crate::{ClusterSettings, Reader, Writer};

/// How often the list of collections is read, which others change as well.
const REFRESH_EVERY: Duration = Duration::from_millis(500);
/// How often passages are looked for that do not count.
const SWEEP_EVERY: Duration = Duration::from_hours(6);
/// A write is over long before.
const MIN_SWEPT_AGE: Duration = Duration::from_mins(15);
/// Times a collection is deleted again because somebody has changed what is registered of it.
const MAX_TRIES: usize = 20;

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
    /// Which process this is.
    pub(crate) process: Version,
    /// Why the list of collections could not be read when it was last tried.
    unseen: Mutex<Option<String>>,
    /// The name of the collection that has answered last when each was asked in its turn.
    probed: Mutex<String>,
}

/// What was read of the list of names last.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) collections: BTreeMap<String, Arc<Family>>,
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
        } = default.active.kept;
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
            process: Version::new()?,
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
        Ok(self.family(name)?.active.clone())
    }

    /// All collections, ordered by name.
    pub fn all(&self) -> Vec<ClusterCollection> {
        let known = self.known();
        let families = known.collections.values();
        families.map(|family| family.active.clone()).collect()
    }

    /// All generations of the collection that [`Self::get`] finds.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn family(&self, name: &str) -> Result<Arc<Family>, Error> {
        let known = self.known.load();
        let found = known.collections.get(name);
        let found = found.or_else(|| known.collections.get(known.aliases.get(name)?));
        found.cloned().ok_or_else(|| Error::CollectionNotFound {
            name: name.to_owned(),
        })
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
        let before = self.family(name).ok();
        if let Some(family) = &before {
            let (collection, kept) = (&family.active, &family.registered.active.kept);
            if kept.settings == *settings && kept.encoder == *encoder {
                return Ok((collection.clone(), PutOutcome::Unchanged));
            }
            let is_same_encoder = kept.encoder.identity.id == encoder.identity.id;
            if is_same_encoder && kept.settings.may_become(settings) {
                self.change(family, settings, encoder)?;
                return Ok((self.get(name)?, PutOutcome::Changed));
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
        let family = self.family(name)?;
        if name == DEFAULT_COLLECTION {
            let (settings, encoder) = (self.default_settings, &self.default_encoder);
            self.replace(name, Some(&family), &settings, encoder)?;
            return Ok(());
        }
        self.check_stands_alone(name)?;
        let gone = self.unregister(name, family)?;
        // Another process may have made an alias at the same moment. It looks once more whether the collection is there, after
        // it has made the alias, and takes the alias back: one of the two sees the other.
        if let Err(error) = self.check_stands_alone(name) {
            self.registry.put(&self.connection, &gone, None)?;
            self.refresh()?;
            return Err(error);
        }
        self.drop_all(&gone)
    }

    /// Takes a collection from the list, and returns what it was at last.
    fn unregister(&self, name: &str, mut family: Arc<Family>) -> Result<Registered, Error> {
        for _ in 0..MAX_TRIES {
            self.registry.remove(&self.connection, &family.registered)?;
            self.refresh()?;
            match self.family(name) {
                // Somebody has changed it since it was looked at.
                Ok(now) if now.registered.family == family.registered.family => family = now,
                _ => return Ok(family.registered.clone()),
            }
        }
        Err(always_changed())
    }

    /// Registers the same collection with settings that change in place.
    fn change(
        &self,
        family: &Family,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Result<(), Error> {
        let mut wanted = family.registered.next_revision()?;
        wanted.active.kept.settings = *settings;
        wanted.active.kept.encoder = encoder.clone();
        match self.exchange_for(&family.registered, &wanted)? {
            true => Ok(()),
            false => Err(always_changed()),
        }
    }

    /// Makes a new, empty collection, and drops the one that had its name.
    fn replace(
        &self,
        name: &str,
        before: Option<&Family>,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Result<ClusterCollection, Error> {
        let kept = KeptCollection {
            created_at_ms: now_ms(),
            settings: *settings,
            encoder: encoder.clone(),
        };
        let before = before.map(|before| &before.registered);
        let wanted = Registered::new(name, kept)?;
        self.make_collections(&wanted.active)?;
        let registered = self.registry.put(&self.connection, &wanted, before)?;
        self.refresh()?;
        let is_ours = registered.is_some_and(|registered| registered.family == wanted.family);
        match (is_ours, before) {
            // Somebody else was first.
            (false, _) => self.drop_all(&wanted)?,
            (true, Some(before)) => self.drop_all(before)?,
            (true, None) => {}
        }
        // Or has made an alias of this name.
        self.check_no_alias(name, "DELETE /aliases/{alias} frees the name")?;
        let now = self.family(name)?;
        match before.is_some_and(|before| before.family == now.registered.family) {
            // It is what was to be replaced, of which something else has changed at the same moment.
            true => Err(always_changed()),
            false => Ok(now.active.clone()),
        }
    }

    fn drop_all(&self, gone: &Registered) -> Result<(), Error> {
        gone.all()
            .try_for_each(|entry| self.drop_collections(entry))
    }

    /// Registers a collection instead of what it was. Returns whether it was that still.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn exchange_for(
        &self,
        before: &Registered,
        wanted: &Registered,
    ) -> Result<bool, Error> {
        let registered = self.registry.put(&self.connection, wanted, Some(before))?;
        self.refresh()?;
        Ok(registered.is_some_and(|registered| registered.revision == wanted.revision))
    }

    /// Reads the list of names. What is known already stays what it is.
    pub(crate) fn refresh(&self) -> Result<(), Error> {
        let Names {
            collections,
            aliases,
        } = self.registry.all(&self.connection)?;
        let known = self.known.load();
        let open = |(name, registered): (String, Registered)| {
            let before = known.collections.get(&name);
            let family = Family::new(registered, |family, entry| {
                let there = before.and_then(|before| before.at(entry.place));
                let there = there.inspect(|it| it.reader.kept.store(Arc::new(entry.kept.clone())));
                there.unwrap_or_else(|| self.open_collection(&name, family, entry))
            });
            (name, Arc::new(family))
        };
        let collections = collections.into_iter().map(open).collect();
        self.known.store(Arc::new(Known {
            collections,
            aliases,
        }));
        Ok(())
    }

    fn open_collection(&self, name: &str, family: Version, entry: &Entry) -> ClusterCollection {
        let connection = Arc::clone(&self.connection);
        let prefix = &self.settings.prefix;
        let reader = Arc::new(Reader::new(name, family, entry, connection, prefix));
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
        let known = self.known();
        let families = known.collections.values();
        for writer in families.flat_map(|family| family.writers()) {
            let name = writer.reader().name();
            match writer.sweep(MIN_SWEPT_AGE) {
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

/// What a change fails with that others keep coming before.
pub(crate) fn always_changed() -> Error {
    Error::ClusterUnavailable {
        detail: "other services keep changing what is registered of the collection".to_owned(),
    }
}
