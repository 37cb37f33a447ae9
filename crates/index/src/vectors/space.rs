//! The vectors of a collection at one moment, and what finds the nearest.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::freeze::{FreezeFailure, freeze};
use super::head::Head;
use super::hnsw::BuildOptions;
use super::manifest::{Survivors, VectorManifest};
use super::row::{NewRow, Row};
use super::segment::VectorSegment;
use crate::segments::{BuildSite, MergePolicy, MergedWith, Segment, SegmentList, SegmentedIndex};

/// Dead rows below which a head is not worth compacting.
const MIN_DEAD_ROWS_TO_COMPACT: u64 = 1024;
/// While writes come in, a segment waits for smaller ones that have together this many times its
/// size; each vector is then built into a graph about log4(n) times.
const BUSY_RATIO: f64 = 3.0;
/// The same when no writes come in: fewer segments make searches cheaper.
const IDLE_RATIO: f64 = 0.5;

/// All vectors of a collection: segments, the head, and what is dead of both. Cloning copies
/// pointers and bitmaps, no vectors.
#[derive(Debug, Clone)]
pub(crate) struct VectorSpace {
    pub(super) segments: Arc<SegmentList<VectorSegment>>,
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

impl VectorSpace {
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

    /// A space with segments and an empty head.
    pub(crate) fn of_segments(
        dimensions: usize,
        list: SegmentList<VectorSegment>,
        survivors: Survivors,
    ) -> Self {
        Self {
            passages: list.passages().len() - survivors.dead.len(),
            segments: Arc::new(list),
            dead: survivors.dead,
            documents: survivors.documents,
            removed_passages: survivors.removed_passages,
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
        let mut segments = self.segments.segments.iter();
        if !segments.any(|segment| segment.passages().contains(passages.start)) {
            self.dead_in_head += count;
        }
        self.dead.insert_range(passages);
        let living_in_head = self.head.len() as u64 - self.dead_in_head;
        if self.dead_in_head >= MIN_DEAD_ROWS_TO_COMPACT && self.dead_in_head > living_in_head {
            self.compact_head();
        }
    }

    /// Everything of the head that is alive, in the order of passages.
    fn living_head(&self) -> Vec<Row<'_>> {
        let rows = self.head.rows();
        rows.filter(|row| !self.dead.contains(row.passage))
            .collect()
    }

    /// Everything that is alive, in the order of passages.
    pub(crate) fn living(&self) -> Vec<Row<'_>> {
        let mut rows = self.living_in(&self.segments.segments);
        rows.extend(self.living_head());
        // After the loss of a segment its passages are in the head, though others are newer.
        rows.sort_unstable_by_key(|row| row.passage);
        rows
    }

    /// Everything of some segments that is alive, in the order of passages.
    fn living_in<'a>(&self, segments: &'a [Arc<VectorSegment>]) -> Vec<Row<'a>> {
        let rows = segments.iter().flat_map(|segment| segment.rows());
        let mut rows: Vec<Row<'a>> = rows
            .filter(|row| !self.dead.contains(row.passage))
            .collect();
        rows.sort_unstable_by_key(|row| row.passage);
        rows
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

    /// Rows as a segment; none when there are no rows.
    fn frozen(
        &self,
        rows: &[Row<'_>],
        site: &BuildSite<'_, VectorSegment>,
    ) -> Result<Option<VectorSegment>, FreezeFailure> {
        if rows.is_empty() {
            return Ok(None);
        }
        let (dimensions, settings) = (self.head.dimensions(), site.settings.graph);
        let bytes = VectorSegment::expected_bytes(rows.len(), dimensions, settings.m);
        let path = site.path_for(bytes)?;
        let options = BuildOptions {
            settings,
            threads: site.threads,
            stop: site.stop,
        };
        freeze(&path, site.folder.collection(), dimensions, rows, &options).map(Some)
    }
}

impl SegmentedIndex for VectorSpace {
    type Segment = VectorSegment;
    type Failure = FreezeFailure;

    fn segments(&self) -> &Arc<SegmentList<VectorSegment>> {
        &self.segments
    }

    fn dead(&self) -> &RoaringBitmap {
        &self.dead
    }

    fn head_passages(&self) -> usize {
        self.head.len()
    }

    fn head_end(&self) -> u32 {
        self.head.end()
    }

    fn adopting(&self, segments: &Arc<SegmentList<VectorSegment>>) -> Self {
        let mut space = self.clone();
        space.segments = Arc::clone(segments);
        space.head = self.head.since(segments.end);
        let in_segments = &self.dead & segments.passages();
        let head = space.head.rows().map(|row| row.passage);
        let in_head: RoaringBitmap = head
            .filter(|passage| self.dead.contains(*passage))
            .collect();
        space.dead_in_head = in_head.len();
        space.dead = in_segments | in_head;
        space
    }

    fn manifest(&self) -> VectorManifest {
        let in_segments = self.segments.passages();
        let segments = self.segments.segments.iter();
        VectorManifest {
            end: self.segments.end,
            files: segments.filter_map(|segment| segment.number()).collect(),
            survivors: Survivors {
                removed_passages: self.removed_passages,
                dead: &self.dead & &in_segments,
                documents: &self.documents & &in_segments,
            },
        }
    }

    fn merge_policy(is_idle: bool) -> MergePolicy {
        MergePolicy {
            with: MergedWith::Smaller,
            ratio: if is_idle { IDLE_RATIO } else { BUSY_RATIO },
        }
    }

    fn freeze_head(
        &self,
        site: &BuildSite<'_, VectorSegment>,
    ) -> Result<Option<VectorSegment>, FreezeFailure> {
        self.frozen(&self.living_head(), site)
    }

    fn merge(
        &self,
        merged: &[Arc<VectorSegment>],
        site: &BuildSite<'_, VectorSegment>,
    ) -> Result<Option<VectorSegment>, FreezeFailure> {
        self.frozen(&self.living_in(merged), site)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cancel, GraphSettings};

    /// As after the loss of a segment, whose passages come back into the head.
    #[test]
    fn rows_are_in_order_when_the_head_has_older_passages_than_a_segment() {
        let folder = tempfile::tempdir().unwrap();
        let vector = [1.0, 0.0];
        let row = |passage| Row {
            vector: &vector,
            passage,
            document: passage,
        };
        let options = BuildOptions {
            settings: GraphSettings::default(),
            threads: 1,
            stop: &Cancel::default(),
        };
        let rows: Vec<_> = (10..20).map(row).collect();
        let segment = freeze(&folder.path().join("0"), 0, 2, &rows, &options).unwrap();
        let list = SegmentList::found(vec![Arc::new(segment)], 20);
        let mut space = VectorSpace::of_segments(2, list, Survivors::default());
        for passage in [3, 21] {
            space.add_document(&[NewRow {
                passage,
                document: passage,
                vector: vector.to_vec(),
            }]);
        }
        space.remove_document(12..13);
        let living = space.living();
        assert!(living.is_sorted_by(|a, b| a.passage < b.passage));
        assert_eq!(living.len(), 11);
    }
}
