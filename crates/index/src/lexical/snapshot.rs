//! The words of a collection at one moment.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::bm25::Statistics;
use super::builder::PieceBuilder;
use super::head::Head;
use super::merge_policy::SegmentSize;
use super::part::Part;
use super::piece::Piece;
use super::row::{Row, row_of};
use super::segment::{FrozenRow, LexicalSegment};
use super::segment_list::LexicalSegmentList;

/// All passages of a collection by their words: segments, the head, and what is dead of both.
/// Cloning copies pointers and a bitmap.
#[derive(Debug, Clone, Default)]
pub(crate) struct LexicalSnapshot {
    segments: Arc<LexicalSegmentList>,
    head: Head,
    /// Passages that are in a segment or in the head and count no more.
    dead: RoaringBitmap,
    /// Living passages and their words.
    passages: u64,
    words: u64,
}

impl LexicalSnapshot {
    /// A snapshot with segments, of which some passages are alive, and an empty head.
    pub(crate) fn of_segments(segments: LexicalSegmentList, living: &RoaringBitmap) -> Self {
        let mut snapshot = Self {
            segments: Arc::new(segments),
            ..Self::default()
        };
        let segments = Arc::clone(&snapshot.segments);
        for row in segments.segments.iter().flat_map(|segment| segment.rows()) {
            if living.contains(row.passage) {
                snapshot.passages += 1;
                snapshot.words += u64::from(row.words);
            } else {
                snapshot.dead.insert(row.passage);
            }
        }
        snapshot
    }

    pub(crate) fn segments(&self) -> &Arc<LexicalSegmentList> {
        &self.segments
    }

    /// About the memory that it takes beside the files of segments, which are mapped, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let segments = self.segments.segments.iter();
        let rows: usize = segments.map(|segment| size_of_val(segment.rows())).sum();
        (rows + self.head.bytes() + self.dead.serialized_size()) as u64
    }

    /// Passages in the head, dead ones included.
    pub(crate) fn head_passages(&self) -> usize {
        self.head.len()
    }

    /// One more than the last passage of the head; 0 when it is empty.
    pub(crate) fn head_end(&self) -> u32 {
        self.head.end()
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
        self.head.push(piece);
    }

    /// Takes away passages.
    pub(crate) fn remove(&mut self, passages: Range<u32>) {
        for passage in passages {
            if let Some(row) = self.row(passage)
                && self.dead.insert(passage)
            {
                self.passages -= 1;
                self.words -= u64::from(row.words);
            }
        }
    }

    /// The same content with newer segments: the head loses what they hold, and the dead are
    /// those that are still somewhere.
    pub(crate) fn adopting(&self, segments: &Arc<LexicalSegmentList>) -> Self {
        let mut snapshot = self.clone();
        snapshot.segments = Arc::clone(segments);
        snapshot.head = self.head.since(segments.end);
        let dead = self.dead.iter();
        snapshot.dead = dead
            .filter(|passage| snapshot.row(*passage).is_some())
            .collect();
        snapshot
    }

    /// The living passages of the head.
    pub(crate) fn living_head(&self) -> Vec<FrozenRow> {
        let pieces = self.head.pieces().iter();
        let rows = pieces.flat_map(|piece| {
            let texts = piece.texts();
            piece.rows().iter().copied().zip(texts)
        });
        rows.filter(|(row, _)| !self.dead.contains(row.passage))
            .map(|(row, text)| FrozenRow { row, text })
            .collect()
    }

    /// What is alive and what is dead in each segment.
    pub(crate) fn segment_sizes(&self) -> Vec<SegmentSize> {
        let segments = self.segments.segments.iter();
        segments
            .map(|segment| {
                let dead = segment.dead_rows(&self.dead).count() as u64;
                SegmentSize {
                    living: segment.rows().len() as u64 - dead,
                    dead,
                }
            })
            .collect()
    }

    pub(crate) fn dead(&self) -> &RoaringBitmap {
        &self.dead
    }

    /// All parts in the order of their passages.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let segments = self.segments.segments.iter();
        let segments = segments.map(|segment: &Arc<LexicalSegment>| Part::Segment(segment));
        let pieces = self.head.pieces().iter();
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
