//! A collection: documents, their passages, their vectors.
//!
//! One writer at a time, any number of readers. `write` changes the record and publishes the next
//! snapshot, `read` reads documents back, `search` joins the two.

mod best_passages;
mod body;
mod by_vector;
mod by_words;
mod change;
mod delete_matching;
mod facets;
mod filtered;
mod hit_content;
mod hybrid;
mod load;
mod load_documents;
mod maintain;
mod maintain_lexical;
mod paging;
mod question;
mod read;
mod search;
mod sweep;
mod write;

use std::path::Path;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

pub use best_passages::ScoredPassage;
pub use facets::{Facet, FacetRequest, FacetValue};
pub use hit_content::{HitContent, HitParts};
pub(crate) use maintain::{Maintenance, Step};
pub use paging::{HitSet, Moment};
pub use question::{Fusion, Question};
pub use search::{Hit, HitScores, SearchOptions, SearchResults, Total};
pub(crate) use sweep::sweep;
pub(crate) use write::now_ms;
pub use write::{UpsertStatus, WritePlan};

use crate::lexical::{LexicalFolder, LexicalSnapshot};
use crate::memory::MemoryShare;
use crate::metadata_index::MetadataIndex;
use crate::store::{CollectionId, CollectionRecord, Counters, Sequence, Store};
use crate::vectors::{SegmentFolder, Snapshot};
use crate::{CollectionSettings, Error};

/// A named set of documents.
#[derive(Debug)]
pub struct Collection {
    name: String,
    record: CollectionRecord,
    dimensions: usize,
    store: Arc<Store>,
    writer: Mutex<WriterState>,
    published: ArcSwap<Published>,
    folders: Folders,
    maintenance: Maintenance,
    memory: MemoryShare,
}

/// What a collection is loaded with.
#[derive(Debug)]
pub(crate) struct LoadedParts {
    pub(crate) store: Arc<Store>,
    pub(crate) dimensions: usize,
    pub(crate) folders: Folders,
    pub(crate) maintenance: Maintenance,
    /// Its part of the memory of all.
    pub(crate) memory: MemoryShare,
}

/// Where the caches of a collection are.
#[derive(Debug)]
pub(crate) struct Folders {
    pub(crate) segments: SegmentFolder,
    pub(crate) lexical: LexicalFolder,
}

impl Folders {
    /// Those of a collection below the folders of all.
    pub(crate) fn new(segments: &Path, lexical: &Path, id: CollectionId) -> Self {
        Self {
            segments: SegmentFolder::new(segments, id.0),
            lexical: LexicalFolder::new(lexical, id.0),
        }
    }

    /// Removes them with everything in them.
    pub(crate) fn remove(&self) -> std::io::Result<()> {
        self.segments.remove()?;
        self.lexical.remove()
    }
}

/// What only the writer touches.
#[derive(Debug)]
struct WriterState {
    counters: Counters,
    /// The newest snapshot, which may hold writes that are not durable yet.
    staged: Arc<Snapshot>,
    /// The metadata that goes with it.
    staged_metadata: Arc<MetadataIndex>,
    /// The words.
    staged_lexical: Arc<LexicalSnapshot>,
    /// Set when the collection has been deleted; late writers must not bring it back.
    deleted: bool,
}

/// What searches see: durable writes only.
#[derive(Debug)]
struct Published {
    snapshot: Arc<Snapshot>,
    metadata: Arc<MetadataIndex>,
    lexical: Arc<LexicalSnapshot>,
    sequence: Sequence,
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
    /// Loads a collection from the record.
    ///
    /// # Errors
    /// [`Error::DataOverMemory`], or a record that cannot be read.
    pub(crate) fn load(
        name: String,
        record: CollectionRecord,
        parts: LoadedParts,
    ) -> Result<Self, Error> {
        let LoadedParts {
            store,
            dimensions,
            folders,
            maintenance,
            memory,
        } = parts;
        let counters = read::counters(&store, record.id)?;
        let source = load::Source {
            store: &store,
            collection: record.id,
            dimensions,
            memory: &memory,
        };
        let snapshot = Arc::new(load::snapshot(&source, &folders.segments, &counters)?);
        let CollectionSettings { lexical, words, .. } = record.settings;
        let words = lexical.then(|| (words, folders.lexical.open()));
        // Vectors count while words and metadata are loaded.
        memory.set(snapshot.bytes());
        let documents = load_documents::documents(&source, words, &counters)?;
        let (metadata, lexical) = (Arc::new(documents.metadata), Arc::new(documents.lexical));
        memory.set(snapshot.bytes() + metadata.bytes() + lexical.bytes());
        let sequence = store.last_applied();
        Ok(Self {
            name,
            record,
            dimensions,
            writer: Mutex::new(WriterState {
                counters,
                staged: Arc::clone(&snapshot),
                staged_metadata: Arc::clone(&metadata),
                staged_lexical: Arc::clone(&lexical),
                deleted: false,
            }),
            published: ArcSwap::from_pointee(Published {
                snapshot,
                metadata,
                lexical,
                sequence,
            }),
            store,
            folders,
            maintenance,
            memory,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its settings.
    pub fn settings(&self) -> CollectionSettings {
        self.record.settings
    }

    /// How much is in it.
    pub fn stats(&self) -> CollectionStats {
        let published = self.published.load();
        let snapshot = &published.snapshot;
        let segments = &snapshot.segments().segments;
        let head_passages = snapshot.head_passages();
        let lexical = &published.lexical;
        let lexical_segments = &lexical.segments().segments;
        CollectionStats {
            documents: snapshot.documents(),
            passages: snapshot.passages(),
            created_at_ms: self.record.created_at_ms,
            head_passages: head_passages as u64,
            dead_passages: snapshot.dead_passages(),
            segments: segments.len() as u64,
            segment_bytes: segments.iter().map(|segment| segment.bytes()).sum(),
            lexical_head_passages: lexical.head_passages() as u64,
            lexical_segments: lexical_segments.len() as u64,
            lexical_bytes: lexical_segments.iter().map(|segment| segment.bytes()).sum(),
            is_rebuilding: self.maintenance.is_overdue(head_passages),
            is_rebuilding_words: self.maintenance.is_overdue(lexical.head_passages()),
        }
    }

    pub(crate) fn id(&self) -> CollectionId {
        self.record.id
    }
}
