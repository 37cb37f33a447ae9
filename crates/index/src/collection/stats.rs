//! How much is in a collection.

use super::reader::Reader;
use super::state::State;
use crate::segments::SegmentedIndex;

/// A head this many times over its limit is not the usual one.
const OVERDUE_HEADS: usize = 4;

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

/// About the memory that a collection takes beside files that are mapped, by part, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectionMemory {
    /// Vectors that no segment holds yet, and which passages are alive.
    pub vectors: u64,
    /// Words that no segment holds yet.
    pub words: u64,
    /// The index of metadata.
    pub metadata: u64,
}

impl Reader {
    /// How much memory it takes, by part.
    pub fn memory(&self) -> CollectionMemory {
        let published = self.published.load();
        let state = &published.state;
        CollectionMemory {
            vectors: state.vectors.bytes(),
            words: state.words.bytes(),
            metadata: state.metadata.bytes(),
        }
    }

    /// How much is in it.
    pub fn stats(&self) -> CollectionStats {
        let published = self.published.load();
        let State { vectors, words, .. } = &published.state;
        let (segments, lexical_segments) = (vectors.segments(), words.segments());
        CollectionStats {
            documents: vectors.documents(),
            passages: vectors.passages(),
            created_at_ms: self.created_at_ms,
            head_passages: vectors.head_passages() as u64,
            dead_passages: vectors.dead().len(),
            segments: segments.segments.len() as u64,
            segment_bytes: segments.bytes(),
            lexical_head_passages: words.head_passages() as u64,
            lexical_segments: lexical_segments.segments.len() as u64,
            lexical_bytes: lexical_segments.bytes(),
            is_rebuilding: self.is_overdue(vectors.head_passages()),
            is_rebuilding_words: self.is_overdue(words.head_passages()),
        }
    }

    fn is_overdue(&self, head_passages: usize) -> bool {
        head_passages > self.max_head_passages.saturating_mul(OVERDUE_HEADS)
    }
}
