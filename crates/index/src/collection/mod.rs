//! A collection: documents, their passages, their vectors.
//!
//! Any number of threads read at a time and one writes. The writer changes the record and publishes
//! the next state, which readers search.

mod alike;
mod best_passages;
mod body;
mod by_vector;
mod by_words;
mod change;
mod delete_matching;
mod document_range;
mod documents;
mod facets;
mod family;
mod feedback;
mod fill;
mod filtered;
mod folders;
mod hit;
mod hit_content;
mod hybrid;
mod load;
mod load_documents;
mod loader;
mod maintain;
mod maintenance;
mod paging;
mod planned_generations;
mod query;
mod reader;
mod record_vectors;
mod search;
mod state;
mod stats;
mod sweep;
mod write;
mod writer;

use std::sync::Arc;

pub use alike::{
    Alike, AlikeMode, AlikeOptions, AlikePair, AlikeScope, AlikeSide, AlikeSides, Cluster,
    ClusterForm, ClusterMember, ClusterOptions, Clusters, DocumentMap, MapOptions, MapPoint,
    document_vector,
};
pub use best_passages::ScoredPassage;
pub use change::UpsertStatus;
pub use facets::{Facet, FacetRequest, FacetValue};
pub(crate) use family::Family;
pub(crate) use folders::SegmentFolders;
pub use hit::{Hit, HitScores};
pub use hit_content::{HitContent, HitParts};
pub use hybrid::ListsToFuse;
pub(crate) use loader::{CollectionLoader, check_loads, collection_records};
pub(crate) use maintenance::Step;
pub use paging::{HitSet, Moment};
pub use planned_generations::{PlannedGenerations, Upserted};
pub use query::{Fusion, Query};
pub use reader::Reader;
pub use search::{SearchOptions, SearchResults, Total};
pub use stats::{CollectionMemory, CollectionStats};
pub(crate) use sweep::sweep;
pub use write::{WritePlan, check_writes};
pub use writer::Writer;

use crate::store::{CollectionId, CollectionRecord};
use crate::{CollectionEncoder, CollectionSettings};

/// A named set of documents: what reads it, and what writes it.
#[derive(Debug)]
pub struct Collection {
    reader: Arc<Reader>,
    writer: Arc<Writer>,
}

impl Collection {
    /// Its name.
    pub fn name(&self) -> &str {
        self.reader.name()
    }

    /// Its settings.
    pub fn settings(&self) -> CollectionSettings {
        self.reader.settings()
    }

    /// How much is in it.
    pub fn stats(&self) -> CollectionStats {
        self.reader.stats()
    }

    /// What searches, gets, lists and counts.
    pub fn reader(&self) -> &Arc<Reader> {
        &self.reader
    }

    /// What plans, stores, changes and deletes.
    pub fn writer(&self) -> &Arc<Writer> {
        &self.writer
    }

    pub(crate) fn id(&self) -> CollectionId {
        self.reader.id()
    }

    /// What makes its vectors.
    pub fn encoder(&self) -> Arc<CollectionEncoder> {
        self.reader.encoder()
    }

    /// Its record.
    pub(crate) fn record(&self) -> CollectionRecord {
        self.record_with(self.settings(), &self.encoder())
    }

    /// Its record with other settings, and another name of its encoder.
    pub(crate) fn record_with(
        &self,
        settings: CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> CollectionRecord {
        CollectionRecord {
            id: self.reader.id(),
            created_at_ms: self.reader.created_at_ms,
            settings,
            encoder: Some(encoder.clone()),
        }
    }

    /// Takes settings that it [may have](CollectionSettings::may_become), and a name of its encoder; both are
    /// durable.
    pub(crate) fn take(&self, settings: CollectionSettings, encoder: &CollectionEncoder) {
        self.reader.settings.store(Arc::new(settings));
        self.reader.encoder.store(Arc::new(encoder.clone()));
    }
}
