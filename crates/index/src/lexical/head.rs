//! The newest passages, which no segment holds yet.

use std::sync::Arc;

use super::piece::Piece;

/// Pieces in the order of their passages. Cloning copies pointers only.
///
/// A new piece is joined with the one before it as long as that has at most [`JOIN_RATIO`] times
/// its passages. So there are few pieces to search, and each passage is copied about
/// log2(passages) times in all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pieces: Vec<Arc<Piece>>,
}

const JOIN_RATIO: usize = 2;

impl Head {
    /// Adds passages greater than all before.
    pub(super) fn push(&mut self, piece: Piece) {
        if piece.rows().is_empty() {
            return;
        }
        let mut piece = Arc::new(piece);
        while let Some(last) = self
            .pieces
            .pop_if(|last| last.rows().len() <= JOIN_RATIO * piece.rows().len())
        {
            piece = Arc::new(last.joined(&piece));
        }
        self.pieces.push(piece);
    }

    pub(super) fn pieces(&self) -> &[Arc<Piece>] {
        &self.pieces
    }

    /// Memory of the pieces.
    pub(super) fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes()).sum()
    }
}

impl crate::segments::Head for Head {
    fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.rows().len()).sum()
    }

    fn end(&self) -> u32 {
        let last = self.pieces.last().and_then(|piece| piece.rows().last());
        last.map_or(0, |row| row.passage + 1)
    }

    fn since(&self, first: u32) -> Self {
        let mut head = Self::default();
        for piece in &self.pieces {
            let rows = piece.rows();
            if rows.first().is_some_and(|row| row.passage >= first) {
                head.pieces.push(Arc::clone(piece));
            } else if rows.last().is_some_and(|row| row.passage >= first) {
                let rest = piece.retained(|passage| passage >= first);
                head.pieces.push(Arc::new(rest));
            }
        }
        head
    }

    fn passages(&self) -> impl Iterator<Item = u32> {
        let rows = self.pieces.iter().flat_map(|piece| piece.rows());
        rows.map(|row| row.passage)
    }
}

#[cfg(test)]
mod tests {
    use crate::segments::Head as _;

    use super::super::builder::PieceBuilder;
    use super::super::word_counts::WordCounts;
    use super::super::words::WordSettings;
    use super::*;

    fn push(head: &mut Head, passage: u32) {
        let mut builder = PieceBuilder::default();
        builder.add(
            passage,
            passage,
            WordCounts::of(None, "word", WordSettings::default()),
        );
        head.push(builder.finish());
    }

    #[test]
    fn many_single_writes_leave_few_pieces() {
        let mut head = Head::default();
        for passage in 0..1000 {
            push(&mut head, passage);
            assert!(head.pieces.len() <= 10, "{}", head.pieces.len());
        }
        assert_eq!((head.len(), head.end()), (1000, 1000));
        let earlier = head.clone();
        push(&mut head, 1000);
        assert_eq!((earlier.len(), head.len()), (1000, 1001));
        for first in [0, 1, 500, 999, 1000, 1001] {
            let since = head.since(first);
            assert_eq!(since.len(), 1001 - first as usize);
            let rows = since.pieces.iter().flat_map(|piece| piece.rows());
            assert!(rows.map(|row| row.passage).eq(first..1001));
        }
    }
}
