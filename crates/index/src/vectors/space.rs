//! The vectors of a collection at one moment, and what finds the nearest.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::freeze::{FreezeFailure, freeze};
use super::head::Head;
use super::hnsw::BuildOptions;
use super::manifest::{Survivors, VectorManifest};
use super::row::{HeldRow, NewRow, Row};
use super::segment::VectorSegment;
use crate::segments::{
    BuildSite, Head as _, Layers, MergePolicy, MergedWith, Segment, SegmentList, SegmentedIndex,
};

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
    pub(super) layers: Layers<VectorSegment, Head>,
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
            layers: Layers::of_head(Head::new(dimensions)),
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
            layers: Layers {
                segments: Arc::new(list),
                head: Head::new(dimensions),
                dead: survivors.dead,
            },
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
        let bitmaps = [&self.layers.dead, &self.documents].map(RoaringBitmap::serialized_size);
        let segments = self.layers.segments.segments.iter();
        let segments = segments.map(|segment| segment.passages().serialized_size());
        let bitmaps = bitmaps.into_iter().chain(segments).sum::<usize>();
        (bitmaps + self.layers.head.bytes()) as u64
    }

    /// Adds the passages of one document, which stand together.
    pub(crate) fn add_document(&mut self, rows: &[NewRow]) {
        self.passages += rows.len() as u64;
        self.documents.extend(rows.first().map(|row| row.passage));
        for row in rows {
            self.layers.head.push(&Row {
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
        let mut segments = self.layers.segments.segments.iter();
        if !segments.any(|segment| segment.passages().contains(passages.start)) {
            self.dead_in_head += count;
        }
        self.layers.dead.insert_range(passages);
        let living_in_head = self.layers.head.len() as u64 - self.dead_in_head;
        if self.dead_in_head >= MIN_DEAD_ROWS_TO_COMPACT && self.dead_in_head > living_in_head {
            self.compact_head();
        }
    }

    /// Everything of the head that is alive, in the order of passages.
    fn living_head(&self) -> Vec<HeldRow<'_>> {
        let rows = self.layers.head.rows();
        rows.filter(|row| !self.layers.dead.contains(row.passage))
            .map(HeldRow::from)
            .collect()
    }

    /// Everything that is alive, in the order of passages.
    pub(crate) fn living(&self) -> Vec<HeldRow<'_>> {
        let mut rows = self.living_in(&self.layers.segments.segments);
        rows.extend(self.living_head());
        // After the loss of a segment its passages are in the head, though others are newer.
        rows.sort_unstable_by_key(|row| row.passage);
        rows
    }

    /// Everything of some segments that is alive, in the order of passages.
    fn living_in<'a>(&self, segments: &'a [Arc<VectorSegment>]) -> Vec<HeldRow<'a>> {
        let rows = segments.iter().flat_map(|segment| segment.rows());
        let mut rows: Vec<HeldRow<'a>> = rows
            .filter(|row| !self.layers.dead.contains(row.passage))
            .collect();
        rows.sort_unstable_by_key(|row| row.passage);
        rows
    }

    /// Copies what lives in the head into new chunks.
    fn compact_head(&mut self) {
        let head = self
            .layers
            .head
            .retained(|passage| !self.layers.dead.contains(passage));
        for row in self.layers.head.rows() {
            self.layers.dead.remove(row.passage);
        }
        self.layers.head = head;
        self.dead_in_head = 0;
    }

    /// Rows as a segment; none when there are no rows.
    fn frozen(
        &self,
        rows: &[HeldRow<'_>],
        site: &BuildSite<'_, VectorSegment>,
    ) -> Result<Option<VectorSegment>, FreezeFailure> {
        if rows.is_empty() {
            return Ok(None);
        }
        let (dimensions, settings) = (self.layers.head.dimensions(), site.settings.graph);
        let bytes = VectorSegment::expected_bytes(rows.len(), dimensions, &settings);
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
    type Head = Head;
    type Failure = FreezeFailure;

    fn layers(&self) -> &Layers<VectorSegment, Head> {
        &self.layers
    }

    fn with_layers(&self, layers: Layers<VectorSegment, Head>) -> Self {
        let in_segments = layers.dead.intersection_len(&layers.segments.passages());
        Self {
            dead_in_head: layers.dead.len() - in_segments,
            layers,
            documents: self.documents.clone(),
            ..*self
        }
    }

    fn manifest(&self) -> VectorManifest {
        let in_segments = self.layers.segments.passages();
        let segments = self.layers.segments.segments.iter();
        VectorManifest {
            end: self.layers.segments.end,
            files: segments.filter_map(|segment| segment.number()).collect(),
            survivors: Survivors {
                removed_passages: self.removed_passages,
                dead: &self.layers.dead & &in_segments,
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
    use super::super::two_level::Values;
    use super::*;
    use crate::{Cancel, GraphSettings};

    /// As after the loss of a segment, whose passages come back into the head.
    #[test]
    fn rows_are_in_order_when_the_head_has_older_passages_than_a_segment() {
        let folder = tempfile::tempdir().unwrap();
        let vector = [1.0, 0.0];
        let row = |passage| HeldRow {
            values: Values::Exact(&vector),
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
