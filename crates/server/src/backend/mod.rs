//! What keeps the documents: an index in the data folder of this process, or a Qdrant cluster.
//!
//! Handlers and services hold a [`Reader`] and a [`Writer`] and do not ask what is behind them. Whatever only a data folder can do
//! goes through `embedded`, which names the [`Capability`] that is needed; another backend refuses by that name.

mod capability;
#[cfg(feature = "qdrant")]
mod cluster;
mod embedded;
mod generations;
mod loading;
mod opening;
mod reader;
mod writer;

use std::sync::Arc;

use siamese_index::{
    Alias, CollectionEncoder, CollectionSettings, Error, HealthCondition, Index, PutOutcome,
};

pub(crate) use capability::{Capability, DIFFERENCES, Difference};
pub(crate) use generations::Generation;
pub(crate) use loading::Loading;
pub use opening::OpenError;
pub(crate) use opening::open;
pub(crate) use reader::{Read, Reader};
pub(crate) use writer::{Generations, Write, Writer};

/// All collections, and where they are; cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) enum Backend {
    /// In the data folder of this process.
    Embedded(Arc<Index>),
    /// On a Qdrant cluster.
    #[cfg(feature = "qdrant")]
    Cluster(Arc<siamese_qdrant::Cluster>),
}

/// A named set of documents: what reads it, and what writes it. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Collection {
    pub(crate) reader: Arc<Reader>,
    pub(crate) writer: Arc<Writer>,
}

impl Backend {
    /// Its name in the API.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            #[cfg(feature = "qdrant")]
            Self::Cluster(_) => "qdrant",
        }
    }

    /// The index of the data folder, where that is the backend: for what is passed over elsewhere.
    pub(crate) fn index(&self) -> Option<&Arc<Index>> {
        match self {
            Self::Embedded(index) => Some(index),
            #[cfg(feature = "qdrant")]
            Self::Cluster(_) => None,
        }
    }

    /// The index of the data folder, which alone can do this.
    ///
    /// # Errors
    /// [`Error::NotSupportedHere`] when the documents are kept elsewhere.
    pub(crate) fn embedded(&self, what: Capability) -> Result<&Arc<Index>, Error> {
        self.index().ok_or_else(|| what.not_supported())
    }

    /// Returns what it cannot do, in the order of the API.
    pub(crate) fn not_supported(&self) -> Vec<Capability> {
        let mut all = Capability::ALL.to_vec();
        all.retain(|what| self.embedded(*what).is_err());
        all
    }

    /// Returns what it does in another way than a data folder.
    pub(crate) fn differences(&self) -> &'static [Difference] {
        match self.index() {
            Some(_) => &[],
            None => DIFFERENCES,
        }
    }

    /// Why nothing can be asked of it now, if that is so. Never waits for a network.
    pub(crate) fn trouble(&self) -> Option<String> {
        match self {
            Self::Embedded(_) => None,
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.trouble(),
        }
    }

    /// A collection by its name, or by an alias.
    ///
    /// # Errors
    /// [`Error::CollectionNotFound`], or the backend cannot be asked.
    pub(crate) fn collection(&self, name: &str) -> Result<Collection, Error> {
        match self {
            Self::Embedded(index) => Ok(Collection::from(&*index.collection(name)?)),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => Ok(cluster::collection(cluster, cluster.get(name)?)),
        }
    }

    /// All collections, ordered by name.
    ///
    /// # Errors
    /// When the backend cannot be asked.
    pub(crate) fn collections(&self) -> Result<Vec<Collection>, Error> {
        match self {
            Self::Embedded(index) => {
                let collections = index.collections();
                Ok(collections.iter().map(|it| (&**it).into()).collect())
            }
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => {
                let collections = cluster.all().into_iter();
                Ok(collections
                    .map(|it| cluster::collection(cluster, it))
                    .collect())
            }
        }
    }

    /// Makes a collection, or finds it with these settings, as [`Index::put_collection_of`] does.
    ///
    /// # Errors
    /// As there, or the backend cannot be asked.
    pub(crate) fn put_collection_of(
        &self,
        name: &str,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Result<(Collection, PutOutcome), Error> {
        match self {
            Self::Embedded(index) => {
                let (collection, outcome) = index.put_collection_of(name, settings, encoder)?;
                Ok((Collection::from(&*collection), outcome))
            }
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => {
                let (collection, outcome) = cluster.put(name, settings, encoder)?;
                Ok((cluster::collection(cluster, collection), outcome))
            }
        }
    }

    /// Deletes a collection with everything in it. The default one is there again at once, and empty.
    ///
    /// # Errors
    /// When there is none, or it cannot be deleted.
    pub(crate) fn delete_collection(&self, name: &str) -> Result<(), Error> {
        match self {
            Self::Embedded(index) => index.delete_collection(name),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.delete(name),
        }
    }

    /// All aliases, ordered by name.
    pub(crate) fn aliases(&self) -> Vec<Alias> {
        match self {
            Self::Embedded(index) => index.aliases(),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.aliases(),
        }
    }

    /// An alias by its name.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn alias(&self, name: &str) -> Result<Alias, Error> {
        match self {
            Self::Embedded(index) => index.alias(name),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.alias(name),
        }
    }

    /// Makes an alias stand for a collection, as [`Index::put_alias`] does. Returns whether it is new.
    ///
    /// # Errors
    /// As there, or the backend cannot be asked.
    pub(crate) fn put_alias(&self, name: &str, collection: &str) -> Result<bool, Error> {
        match self {
            Self::Embedded(index) => index.put_alias(name, collection),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.put_alias(name, collection),
        }
    }

    /// Deletes an alias; what it stood for stays.
    ///
    /// # Errors
    /// When there is none, or the backend cannot be asked.
    pub(crate) fn delete_alias(&self, name: &str) -> Result<(), Error> {
        match self {
            Self::Embedded(index) => index.delete_alias(name),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.delete_alias(name),
        }
    }

    /// What keeps the data folder from a part of its work. Never waits for a disk or for a network.
    pub(crate) fn conditions(&self) -> Vec<HealthCondition> {
        let index = self.index();
        index.map(|index| index.conditions()).unwrap_or_default()
    }

    /// Makes durable what this process keeps.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        self.index().map_or(Ok(()), |index| index.flush())
    }
}

#[cfg(test)]
mod tests {
    use siamese_index::{EncoderIdentity, IndexOptions};

    use super::*;

    fn embedded(folder: &std::path::Path) -> Backend {
        let encoder = EncoderIdentity {
            id: "e".to_owned(),
            name: "n".to_owned(),
            dimensions: 2,
        };
        let index = Index::open(folder, &encoder, &IndexOptions::default()).unwrap();
        Backend::Embedded(Arc::new(index))
    }

    #[test]
    fn a_data_folder_can_do_everything() {
        let folder = tempfile::tempdir().unwrap();
        let backend = embedded(folder.path());
        assert_eq!(backend.not_supported(), []);
    }

    #[test]
    fn a_collection_has_one_reader_however_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let backend = embedded(folder.path());
        let first = backend.collection("default").unwrap();
        let again = backend.collections().unwrap().remove(0);
        for reader in [again.reader, first.writer.reader()] {
            assert!(Arc::ptr_eq(&first.reader, &reader));
        }
    }
}
