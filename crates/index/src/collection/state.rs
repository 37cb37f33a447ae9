//! What a collection is at one moment, for searches and for writers.

use std::sync::Arc;

use crate::lexical::LexicalIndex;
use crate::metadata_index::MetadataIndex;
use crate::segments::{SegmentList, SegmentedIndex};
use crate::store::{Counters, Sequence};
use crate::vectors::VectorSpace;

/// Everything that is made from the record, as of one moment. Cloning copies pointers.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) vectors: Arc<VectorSpace>,
    pub(super) words: Arc<LexicalIndex>,
    pub(super) metadata: Arc<MetadataIndex>,
}

/// What only the writer touches.
#[derive(Debug)]
pub(super) struct WriterState {
    pub(super) counters: Counters,
    /// The newest state, which may hold writes that are not durable yet.
    pub(super) staged: State,
    /// Set when the collection has been deleted; late writers must not bring it back.
    pub(super) deleted: bool,
    /// Set while documents that were there when the generation was made are still missing.
    pub(super) lacks_documents: bool,
}

/// What searches see: durable writes only.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) state: State,
    /// The last write in it.
    pub(super) sequence: Sequence,
}

impl State {
    /// About the memory that it takes beside files that are mapped, bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.vectors.bytes() + self.words.bytes() + self.metadata.bytes()
    }

    /// Passages of the longest head.
    pub(super) fn head_passages(&self) -> usize {
        self.vectors.head_passages().max(self.words.head_passages())
    }

    /// Takes over the segments of another state, as far as they are newer.
    pub(super) fn adopt(&mut self, other: &Self) {
        adopt(&mut self.vectors, other.vectors.segments());
        adopt(&mut self.words, other.words.segments());
    }
}

/// Gives an element of a state other segments, if they are newer.
pub(super) fn adopt<I: SegmentedIndex>(
    element: &mut Arc<I>,
    segments: &Arc<SegmentList<I::Segment>>,
) {
    if segments.version > element.segments().version {
        *element = Arc::new(element.adopting(segments));
    }
}
