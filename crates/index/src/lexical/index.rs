//! The terms of a collection at one moment, and what finds them.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::bm25::Statistics;
use super::builder::PieceBuilder;
use super::head::Head;
use super::manifest::{LexicalManifest, NamedSegment};
use super::part::Part;
use super::piece::Piece;
use super::row::{Row, row_of};
use super::segment::{FrozenRow, LexicalFailure, LexicalSegment};
use crate::segments::{
    BuildSite, Layers, MergePolicy, MergedWith, Segment, SegmentList, SegmentedIndex,
};

/// A segment is merged with all newer ones when together they have this many times its size. Each
/// passage is then copied about log(n) times.
const MERGE_RATIO: f64 = 1.0;

/// All passages of a collection by their terms: segments, the head, and what is dead of both.
/// Cloning copies pointers and a bitmap.
#[derive(Debug, Clone)]
pub(crate) struct LexicalIndex {
    layers: Layers<LexicalSegment, Head>,
    /// Living passages and their words.
    passages: u64,
    words: u64,
}

impl Default for LexicalIndex {
    fn default() -> Self {
        Self {
            layers: Layers::of_head(Head::default()),
            passages: 0,
            words: 0,
        }
    }
}

impl LexicalIndex {
    /// An index with segments, of which some passages are alive, and an empty head.
    pub(crate) fn of_segments(
        segments: SegmentList<LexicalSegment>,
        living: &RoaringBitmap,
    ) -> Self {
        let mut index = Self::default();
        let segments = Arc::new(segments);
        index.layers.segments = Arc::clone(&segments);
        for row in segments.segments.iter().flat_map(|segment| segment.rows()) {
            if living.contains(row.passage) {
                index.passages += 1;
                index.words += u64::from(row.words);
            } else {
                index.layers.dead.insert(row.passage);
            }
        }
        index
    }

    /// About the memory that it takes beside the files of segments, which are mapped, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let segments = self.layers.segments.segments.iter();
        let segments: usize = segments
            .map(|segment| size_of_val(segment.rows()) + segment.passages().serialized_size())
            .sum();
        (segments + self.layers.head.bytes() + self.layers.dead.serialized_size()) as u64
    }

    /// Adds passages greater than all before.
    pub(crate) fn add(&mut self, passages: PieceBuilder) {
        self.add_piece(passages.finish());
    }

    /// As [`Self::add`].
    pub(crate) fn add_piece(&mut self, piece: Piece) {
        self.passages += piece.rows().len() as u64;
        self.words += piece
            .rows()
            .iter()
            .map(|row| u64::from(row.words))
            .sum::<u64>();
        self.layers.head.push(piece);
    }

    /// Takes away passages.
    pub(crate) fn remove(&mut self, passages: Range<u32>) {
        for passage in passages {
            if let Some(row) = self.row(passage)
                && self.layers.dead.insert(passage)
            {
                self.passages -= 1;
                self.words -= u64::from(row.words);
            }
        }
    }

    /// The living passages of the head.
    fn living_head(&self) -> Vec<FrozenRow> {
        let pieces = self.layers.head.pieces().iter();
        let rows = pieces.flat_map(|piece| {
            let texts = piece.texts();
            piece.rows().iter().copied().zip(texts)
        });
        rows.filter(|(row, _)| !self.layers.dead.contains(row.passage))
            .map(|(row, text)| FrozenRow { row, text })
            .collect()
    }

    /// All parts in the order of their passages.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let segments = self.layers.segments.segments.iter();
        let segments = segments.map(|segment: &Arc<LexicalSegment>| Part::Segment(segment));
        let pieces = self.layers.head.pieces().iter();
        segments.chain(pieces.map(|piece: &Arc<Piece>| Part::Piece(piece)))
    }

    pub(super) fn statistics(&self) -> Statistics {
        Statistics {
            passages: self.passages,
            words: self.words,
        }
    }

    fn row(&self, passage: u32) -> Option<Row> {
        self.parts().find_map(|part| {
            let rows = part.rows();
            row_of(rows, passage).map(|place| rows[place])
        })
    }
}

impl SegmentedIndex for LexicalIndex {
    type Segment = LexicalSegment;
    type Head = Head;
    type Failure = LexicalFailure;

    fn layers(&self) -> &Layers<LexicalSegment, Head> {
        &self.layers
    }

    fn with_layers(&self, layers: Layers<LexicalSegment, Head>) -> Self {
        Self { layers, ..*self }
    }

    fn manifest(&self) -> LexicalManifest {
        let segments = self.layers.segments.segments.iter().filter_map(|segment| {
            Some(NamedSegment {
                number: segment.number()?,
                files: segment.files().to_vec(),
            })
        });
        LexicalManifest {
            end: self.layers.segments.end,
            segments: segments.collect(),
        }
    }

    fn merge_policy(_is_idle: bool) -> MergePolicy {
        MergePolicy {
            with: MergedWith::Newer,
            ratio: MERGE_RATIO,
        }
    }

    fn freeze_head(
        &self,
        site: &BuildSite<'_, LexicalSegment>,
    ) -> Result<Option<LexicalSegment>, LexicalFailure> {
        let rows = self.living_head();
        if rows.is_empty() {
            return Ok(None);
        }
        let path = site.path_for(rows.iter().map(FrozenRow::expected_bytes).sum())?;
        LexicalSegment::freeze(&path, &rows).map(Some)
    }

    fn merge(
        &self,
        merged: &[Arc<LexicalSegment>],
        site: &BuildSite<'_, LexicalSegment>,
    ) -> Result<Option<LexicalSegment>, LexicalFailure> {
        let path = site.path_for(merged.iter().map(|segment| segment.bytes()).sum())?;
        LexicalSegment::merge(&path, merged, &self.layers.dead)
    }
}
