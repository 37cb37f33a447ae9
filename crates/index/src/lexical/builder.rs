//! Gathers the passages of one write.

use std::collections::BTreeMap;

use super::piece::{Piece, Posting};
use super::row::Row;
use super::word_counts::WordCounts;

/// Passages in ascending order, to become a [`Piece`].
#[derive(Debug, Default)]
pub(crate) struct PieceBuilder {
    rows: Vec<Row>,
    postings: BTreeMap<String, Vec<Posting>>,
}

impl PieceBuilder {
    /// Adds a passage whose number is greater than all before.
    pub(crate) fn add(&mut self, passage: u32, document: u32, words: WordCounts) {
        let row = self.rows.len() as u32;
        self.rows.push(Row {
            passage,
            document,
            words: words.total,
            checksum: words.checksum(),
        });
        for (word, count) in words.counts {
            let postings = self.postings.entry(word).or_default();
            postings.push(Posting { row, count });
        }
    }

    /// Passages so far.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn finish(self) -> Piece {
        let mut piece = Piece::of_rows(self.rows);
        for (word, postings) in self.postings {
            piece.push_word(&word, &postings);
        }
        piece
    }
}
