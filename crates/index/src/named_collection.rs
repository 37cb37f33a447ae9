//! What a name stands for: a collection with all its generations.

use std::sync::Arc;

use crate::collection::{Collection, Family};
use crate::store::{CollectionId, GenerationState, GenerationsRecord, OtherGeneration};
use crate::{CollectionEncoder, CollectionSettings};

/// A generation of a collection.
#[derive(Debug, Clone)]
pub struct Generation {
    /// Its number; the first is 1.
    pub number: u32,
    /// What it is for.
    pub state: GenerationState,
    /// What it holds.
    pub collection: Arc<Collection>,
}

impl Generation {
    /// Returns whether an encoder has made it with these settings. What a collection may change at any time makes no
    /// difference, and neither does what the encoder is called.
    pub fn is_made_with(&self, settings: &CollectionSettings, encoder: &CollectionEncoder) -> bool {
        let made_by = self.collection.encoder();
        let is_same_encoder = made_by.identity.id == encoder.identity.id;
        is_same_encoder && self.collection.settings().may_become(settings)
    }
}

/// A collection with all its generations.
#[derive(Debug, Clone)]
pub(crate) struct NamedCollection {
    pub(crate) active: Arc<Collection>,
    /// The number of the active one.
    pub(crate) number: u32,
    /// The number of the next one.
    pub(crate) next: u32,
    pub(crate) others: Vec<HiddenGeneration>,
    pub(crate) family: Arc<Family>,
}

/// A generation that is not read.
#[derive(Debug, Clone)]
pub(crate) struct HiddenGeneration {
    pub(crate) number: u32,
    pub(crate) state: GenerationState,
    pub(crate) collection: Arc<Collection>,
}

impl NamedCollection {
    /// One generation.
    pub(crate) fn new(active: Arc<Collection>, family: Arc<Family>) -> Self {
        let GenerationsRecord {
            active: number,
            next,
            ..
        } = GenerationsRecord::default();
        Self {
            active,
            number,
            next,
            others: Vec::new(),
            family,
        }
    }

    /// All generations.
    pub(crate) fn all(&self) -> impl Iterator<Item = Arc<Collection>> {
        let others = self
            .others
            .iter()
            .map(|other| Arc::clone(&other.collection));
        std::iter::once(Arc::clone(&self.active)).chain(others)
    }

    /// The numbers that their keys have.
    pub(crate) fn ids(&self) -> impl Iterator<Item = CollectionId> {
        self.all().map(|collection| collection.id())
    }

    /// What is stored of them.
    pub(crate) fn record(&self) -> GenerationsRecord {
        let others = self.others.iter().map(|other| OtherGeneration {
            number: other.number,
            state: other.state,
            record: other.collection.record(),
        });
        GenerationsRecord {
            active: self.number,
            next: self.next,
            others: others.collect(),
        }
    }

    /// All generations, by their numbers.
    pub(crate) fn generations(&self) -> Vec<Generation> {
        let active = Generation {
            number: self.number,
            state: GenerationState::Active,
            collection: Arc::clone(&self.active),
        };
        let others = self.others.iter().map(|other| Generation {
            number: other.number,
            state: other.state,
            collection: Arc::clone(&other.collection),
        });
        let mut all: Vec<_> = std::iter::once(active).chain(others).collect();
        all.sort_by_key(|generation| generation.number);
        all
    }

    /// One that an encoder has made with these settings, one that lacks documents last.
    pub(crate) fn made_with(
        &self,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Option<Generation> {
        let alike = self.generations().into_iter();
        let alike = alike.filter(|generation| generation.is_made_with(settings, encoder));
        alike.min_by_key(|generation| match generation.state {
            GenerationState::Active => 0,
            GenerationState::Ready | GenerationState::Retired => 1,
            GenerationState::Filling | GenerationState::Paused => 2,
        })
    }
}
