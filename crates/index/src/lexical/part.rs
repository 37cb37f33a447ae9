//! A segment or a piece of the head, searched alike.

use std::io;

use roaring::RoaringBitmap;

use super::piece::Piece;
use super::row::Row;
use super::segment::LexicalSegment;

/// Some passages with their terms.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    Segment(&'a LexicalSegment),
    Piece(&'a Piece),
}

impl<'a> Part<'a> {
    pub(super) fn rows(self) -> &'a [Row] {
        match self {
            Self::Segment(segment) => segment.rows(),
            Self::Piece(piece) => piece.rows(),
        }
    }

    /// Calls `each` with every row that has the term and how often it does.
    pub(super) fn for_each_posting(
        self,
        word: &str,
        mut each: impl FnMut(u32, u32),
    ) -> io::Result<()> {
        match self {
            Self::Segment(segment) => segment.for_each_posting(word, each),
            Self::Piece(piece) => {
                let postings = piece.postings(word).iter();
                postings.for_each(|posting| each(posting.row, posting.count));
                Ok(())
            }
        }
    }

    /// Living passages that have the term.
    pub(super) fn passages_with(self, word: &str, dead: &RoaringBitmap) -> io::Result<u64> {
        if !self.has_dead(dead) {
            return match self {
                Self::Segment(segment) => segment.passages_with(word),
                Self::Piece(piece) => Ok(piece.postings(word).len() as u64),
            };
        }
        let (rows, mut living) = (self.rows(), 0);
        self.for_each_posting(word, |row, _| {
            living += u64::from(!dead.contains(rows[row as usize].passage));
        })?;
        Ok(living)
    }

    fn has_dead(self, dead: &RoaringBitmap) -> bool {
        match self.rows() {
            [first, .., last] => dead.range_cardinality(first.passage..=last.passage) > 0,
            [only] => dead.contains(only.passage),
            [] => false,
        }
    }
}
