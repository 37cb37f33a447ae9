//! The vectors of a collection at one moment.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::head::Head;
use super::row::{NewRow, Row};
use super::segment::Segment;
use super::segment_list::SegmentList;

/// Dead rows below which a head is not worth compacting.
const MIN_DEAD_ROWS_TO_COMPACT: u64 = 1024;

/// All vectors of a collection: segments, the head, and what is dead of both. Cloning copies
/// pointers and bitmaps, no vectors.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(super) segments: Arc<SegmentList>,
    pub(super) head: Head,
    /// Passages that are in a segment or in the head and count no more.
    pub(super) dead: RoaringBitmap,
    /// First passages of all documents that are alive.
    pub(super) documents: RoaringBitmap,
    passages: u64,
    /// Dead passages of the head.
    dead_in_head: u64,
    /// Passages removed since the collection was made.
    removed_passages: u64,
}

/// What is known about segments from an earlier run.
#[derive(Debug)]
pub(crate) struct SegmentsState {
    pub(crate) list: SegmentList,
    /// Passages in segments that count no more.
    pub(crate) dead: RoaringBitmap,
    /// First passages of the documents in segments that are alive.
    pub(crate) documents: RoaringBitmap,
    pub(crate) removed_passages: u64,
}

impl Snapshot {
    pub(crate) fn empty(dimensions: usize) -> Self {
        Self {
            segments: Arc::default(),
            head: Head::new(dimensions),
            dead: RoaringBitmap::new(),
            documents: RoaringBitmap::new(),
            passages: 0,
            dead_in_head: 0,
            removed_passages: 0,
        }
    }

    /// A snapshot with segments and an empty head.
    pub(crate) fn of_segments(dimensions: usize, state: SegmentsState) -> Self {
        let rows = state.list.passages().len();
        Self {
            passages: rows - state.dead.len(),
            segments: Arc::new(state.list),
            dead: state.dead,
            documents: state.documents,
            removed_passages: state.removed_passages,
            ..Self::empty(dimensions)
        }
    }

    /// Documents that are alive.
    pub(crate) fn documents(&self) -> u64 {
        self.documents.len()
    }

    /// Passages that are alive.
    pub(crate) fn passages(&self) -> u64 {
        self.passages
    }

    /// Passages in segments or in the head that are dead.
    pub(crate) fn dead_passages(&self) -> u64 {
        self.dead.len()
    }

    /// Passages removed since the collection was made.
    pub(crate) fn removed_passages(&self) -> u64 {
        self.removed_passages
    }

    /// About the memory that it takes beside the files of segments, which are mapped, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let bitmaps = [&self.dead, &self.documents].map(RoaringBitmap::serialized_size);
        let segments = self.segments.segments.iter();
        let segments = segments.map(|segment| segment.passages().serialized_size());
        let bitmaps = bitmaps.into_iter().chain(segments).sum::<usize>();
        (bitmaps + self.head.bytes()) as u64
    }

    /// Passages in the head, dead ones included.
    pub(crate) fn head_passages(&self) -> usize {
        self.head.len()
    }

    pub(crate) fn segments(&self) -> &Arc<SegmentList> {
        &self.segments
    }

    /// Adds the passages of one document, which stand together.
    pub(crate) fn add_document(&mut self, rows: &[NewRow]) {
        self.passages += rows.len() as u64;
        self.documents.extend(rows.first().map(|row| row.passage));
        for row in rows {
            self.head.push(&Row {
                vector: &row.vector,
                passage: row.passage,
                document: row.document,
            });
        }
    }

    /// Takes away a document by the numbers of its passages.
    pub(crate) fn remove_document(&mut self, passages: Range<u32>) {
        let count = u64::from(passages.end - passages.start);
        self.documents.remove(passages.start);
        self.passages -= count;
        self.removed_passages += count;
        if !self.segments.contains(passages.start) {
            self.dead_in_head += count;
        }
        self.dead.insert_range(passages);
        let living_in_head = self.head.len() as u64 - self.dead_in_head;
        if self.dead_in_head >= MIN_DEAD_ROWS_TO_COMPACT && self.dead_in_head > living_in_head {
            self.compact_head();
        }
    }

    /// The same content with newer segments: the head loses what they hold, and the dead are
    /// those that are still somewhere.
    pub(crate) fn adopting(&self, segments: &Arc<SegmentList>) -> Self {
        let mut snapshot = self.clone();
        snapshot.segments = Arc::clone(segments);
        snapshot.head = self.head.since(segments.end);
        let in_segments = &self.dead & segments.passages();
        let head = snapshot.head.rows().map(|row| row.passage);
        let in_head: RoaringBitmap = head
            .filter(|passage| self.dead.contains(*passage))
            .collect();
        snapshot.dead_in_head = in_head.len();
        snapshot.dead = in_segments | in_head;
        snapshot
    }

    /// Everything of the head that is alive, in the order of passages.
    pub(crate) fn living_head(&self) -> Vec<Row<'_>> {
        let rows = self.head.rows();
        rows.filter(|row| !self.dead.contains(row.passage))
            .collect()
    }

    /// One more than the last passage of the head; 0 when it is empty.
    pub(crate) fn head_end(&self) -> u32 {
        self.head.end()
    }

    /// Dead passages of one segment.
    pub(crate) fn dead_in(&self, segment: &Segment) -> u64 {
        self.dead.intersection_len(segment.passages())
    }

    /// Everything of some segments that is alive, in the order of passages.
    pub(crate) fn living_in<'a>(&self, segments: &'a [Arc<Segment>]) -> Vec<Row<'a>> {
        let rows = segments.iter().flat_map(|segment| segment.rows());
        let mut rows: Vec<Row<'a>> = rows
            .filter(|row| !self.dead.contains(row.passage))
            .collect();
        rows.sort_unstable_by_key(|row| row.passage);
        rows
    }

    /// What to remember about the segments.
    pub(crate) fn segments_state(&self) -> SegmentsState {
        let in_segments = self.segments.passages();
        SegmentsState {
            list: SegmentList::clone(&self.segments),
            dead: &self.dead & &in_segments,
            documents: &self.documents & &in_segments,
            removed_passages: self.removed_passages,
        }
    }

    /// Copies what lives in the head into new chunks.
    fn compact_head(&mut self) {
        let head = self.head.retained(|passage| !self.dead.contains(passage));
        for row in self.head.rows() {
            self.dead.remove(row.passage);
        }
        self.head = head;
        self.dead_in_head = 0;
    }
}
