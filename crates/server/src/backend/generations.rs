//! Generations of a collection, wherever that is kept.

use siamese_index::{CollectionEncoder, CollectionSettings, Error, GenerationState};

use super::{Backend, Collection};

/// A generation of a collection.
#[derive(Debug, Clone)]
pub(crate) struct Generation {
    /// Its number; the first is 1.
    pub(crate) number: u32,
    /// What it is for.
    pub(crate) state: GenerationState,
    /// What it holds.
    pub(crate) collection: Collection,
}

impl Generation {
    /// Returns whether an encoder has made it with these settings, as [`siamese_index::Generation::is_made_with`] does.
    pub(crate) fn is_made_with(
        &self,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> bool {
        let reader = &self.collection.reader;
        let is_same_encoder = reader.encoder().identity.id == encoder.identity.id;
        is_same_encoder && reader.settings().may_become(settings)
    }
}

impl From<siamese_index::Generation> for Generation {
    fn from(generation: siamese_index::Generation) -> Self {
        Self {
            number: generation.number,
            state: generation.state,
            collection: Collection::from(&*generation.collection),
        }
    }
}

impl Backend {
    /// The generations of a collection, by their numbers.
    ///
    /// # Errors
    /// When there is no such collection.
    pub(crate) fn generations(&self, name: &str) -> Result<Vec<Generation>, Error> {
        match self {
            Self::Embedded(index) => {
                let generations = index.generations(name)?.into_iter();
                Ok(generations.map(Into::into).collect())
            }
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => {
                let generations = cluster.generations(name)?.into_iter();
                let opened = generations.map(|it| super::cluster::generation(cluster, it));
                Ok(opened.collect())
            }
        }
    }

    /// One generation of a collection.
    ///
    /// # Errors
    /// When there is no such collection or generation.
    pub(crate) fn generation(&self, name: &str, number: u32) -> Result<Generation, Error> {
        match self {
            Self::Embedded(index) => Ok(index.generation(name, number)?.into()),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => {
                let generation = cluster.generation(name, number)?;
                Ok(super::cluster::generation(cluster, generation))
            }
        }
    }

    /// Makes an empty generation of a collection, or finds one with these settings, as
    /// [`siamese_index::Index::begin_generation`] does.
    ///
    /// # Errors
    /// As there, or the backend cannot be asked.
    pub(crate) fn begin_generation(
        &self,
        name: &str,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Result<Generation, Error> {
        match self {
            Self::Embedded(index) => Ok(index.begin_generation(name, settings, encoder)?.into()),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => {
                let generation = cluster.begin_generation(name, settings, encoder)?;
                Ok(super::cluster::generation(cluster, generation))
            }
        }
    }

    /// Says that a generation that was paused is filled again.
    ///
    /// # Errors
    /// When there is no such generation, or the backend cannot be asked.
    pub(crate) fn resume_generation(&self, name: &str, number: u32) -> Result<(), Error> {
        match self {
            Self::Embedded(index) => index.resume_generation(name, number),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.resume_generation(name, number),
        }
    }

    /// Lets reads see a generation.
    ///
    /// # Errors
    /// When there is no such generation, while it lacks documents, or the backend cannot be asked.
    pub(crate) fn activate_generation(&self, name: &str, number: u32) -> Result<(), Error> {
        match self {
            Self::Embedded(index) => index.activate_generation(name, number),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.activate_generation(name, number),
        }
    }

    /// Deletes a generation that is not active, with everything in it.
    ///
    /// # Errors
    /// When there is none, for the active one, or the backend cannot be asked.
    pub(crate) fn delete_generation(&self, name: &str, number: u32) -> Result<(), Error> {
        match self {
            Self::Embedded(index) => index.delete_generation(name, number),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.delete_generation(name, number),
        }
    }
}
