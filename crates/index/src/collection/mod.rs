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
mod documents;
mod facets;
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
mod question;
mod reader;
mod search;
mod state;
mod sweep;
mod write;
mod writer;

use std::sync::Arc;

pub use alike::{
    Alike, AlikeMode, AlikeOptions, AlikePair, AlikeScope, AlikeSide, AlikeSides, Cluster,
    ClusterForm, ClusterMember, ClusterOptions, Clusters, document_vector,
};
pub use best_passages::ScoredPassage;
pub use change::UpsertStatus;
pub use facets::{Facet, FacetRequest, FacetValue};
pub(crate) use folders::SegmentFolders;
pub use hit::{Hit, HitScores};
pub use hit_content::{HitContent, HitParts};
pub(crate) use loader::{CollectionLoader, check_loads, collection_records};
pub(crate) use maintenance::Step;
pub use paging::{HitSet, Moment};
pub use question::{Fusion, Question};
pub use reader::Reader;
pub use search::{SearchOptions, SearchResults, Total};
pub(crate) use sweep::sweep;
pub use write::WritePlan;
pub use writer::Writer;

use state::State;

use crate::CollectionSettings;
use crate::segments::SegmentedIndex;
use crate::store::CollectionId;

/// A named set of documents: what reads it, and what writes it.
#[derive(Debug)]
pub struct Collection {
    reader: Arc<Reader>,
    writer: Writer,
}

/// How much is in a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectionStats {
    /// Documents stored.
    pub documents: u64,
    /// Passages stored; each has one vector.
    pub passages: u64,
    /// When the collection was made, milliseconds since 1970.
    pub created_at_ms: u64,
    /// Passages that are not in a segment yet; every search scores all of them.
    pub head_passages: u64,
    /// Passages that are deleted and still take up space, until segments are merged.
    pub dead_passages: u64,
    /// Segments, each with a graph.
    pub segments: u64,
    /// Size of the segments' files, bytes.
    pub segment_bytes: u64,
    /// Passages whose words are not in a lexical segment yet.
    pub lexical_head_passages: u64,
    /// Segments of the lexical index.
    pub lexical_segments: u64,
    /// Size of their files, bytes.
    pub lexical_bytes: u64,
    /// Whether far more passages wait for a segment than usual, as after a loss of segments.
    /// Searches are exact and slow meanwhile.
    pub is_rebuilding: bool,
    /// The same of the words, which are all in memory meanwhile; searches are exact.
    pub is_rebuilding_words: bool,
}

impl Collection {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.reader.name
    }

    /// Its settings.
    pub fn settings(&self) -> CollectionSettings {
        self.reader.settings()
    }

    /// What searches, gets, lists and counts.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// What plans, stores, changes and deletes.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// How much is in it.
    pub fn stats(&self) -> CollectionStats {
        let published = self.reader.published.load();
        let State { vectors, words, .. } = &published.state;
        let (segments, lexical_segments) = (vectors.segments(), words.segments());
        CollectionStats {
            documents: vectors.documents(),
            passages: vectors.passages(),
            created_at_ms: self.reader.record.created_at_ms,
            head_passages: vectors.head_passages() as u64,
            dead_passages: vectors.dead().len(),
            segments: segments.segments.len() as u64,
            segment_bytes: segments.bytes(),
            lexical_head_passages: words.head_passages() as u64,
            lexical_segments: lexical_segments.segments.len() as u64,
            lexical_bytes: lexical_segments.bytes(),
            is_rebuilding: self.writer.maintenance.is_overdue(vectors.head_passages()),
            is_rebuilding_words: self.writer.maintenance.is_overdue(words.head_passages()),
        }
    }

    pub(crate) fn id(&self) -> CollectionId {
        self.reader.record.id
    }
}
