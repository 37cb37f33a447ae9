//! What reads a collection.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::state::Published;
use crate::memory::MemoryBudget;
use crate::store::{CollectionId, Store};
use crate::{CollectionEncoder, CollectionSettings};

/// Searches, gets, lists and counts. It sees durable writes only.
#[derive(Debug)]
pub struct Reader {
    pub(super) name: String,
    pub(super) id: CollectionId,
    pub(super) created_at_ms: u64,
    /// What of them may change is changed for a collection in use.
    pub(super) settings: ArcSwap<CollectionSettings>,
    /// Its name may change, its identity does not.
    pub(super) encoder: ArcSwap<CollectionEncoder>,
    pub(super) dimensions: usize,
    pub(super) store: Arc<Store>,
    /// What all collections may take.
    pub(super) memory: Arc<MemoryBudget>,
    pub(super) published: ArcSwap<Published>,
    /// Passages from which a head is made into a segment.
    pub(super) max_head_passages: usize,
}

impl Reader {
    /// The collection's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The collection's settings.
    pub fn settings(&self) -> CollectionSettings {
        **self.settings.load()
    }

    /// What makes the collection's vectors.
    pub fn encoder(&self) -> Arc<CollectionEncoder> {
        self.encoder.load_full()
    }

    /// Length of every vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    pub(super) fn id(&self) -> CollectionId {
        self.id
    }
}
