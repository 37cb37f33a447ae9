//! What is compared: documents or passages, each with one vector.

use std::borrow::Cow;

use roaring::RoaringBitmap;

use super::{AlikeScope, Side};
use crate::vectors::{Row, mean_unit};

/// Documents or passages in the order of their first passages.
pub(super) struct Items<'a> {
    sides: Vec<Side>,
    /// Of length 1, or zero.
    vectors: Vec<Cow<'a, [f32]>>,
}

impl<'a> Items<'a> {
    /// Those of `documents`, of rows in the order of their passages.
    pub(super) fn of(rows: &[Row<'a>], documents: &RoaringBitmap, scope: AlikeScope) -> Self {
        let mut items = Self {
            sides: Vec::new(),
            vectors: Vec::new(),
        };
        for rows in rows.chunk_by(|row, next| row.document == next.document) {
            if !rows
                .first()
                .is_some_and(|row| documents.contains(row.document))
            {
                continue;
            }
            match scope {
                AlikeScope::Passages => {
                    rows.iter()
                        .for_each(|row| items.push(row, Cow::Borrowed(row.vector)));
                }
                AlikeScope::Documents => items.push(&rows[0], mean_of(rows)),
            }
        }
        items
    }

    pub(super) fn len(&self) -> usize {
        self.sides.len()
    }

    pub(super) fn vectors(&self) -> &[Cow<'a, [f32]>] {
        &self.vectors
    }

    pub(super) fn vector(&self, item: usize) -> &[f32] {
        &self.vectors[item]
    }

    pub(super) fn side(&self, item: usize) -> Side {
        self.sides[item]
    }

    /// Returns whether an item begins with this passage.
    pub(super) fn holds(&self, passage: u32) -> bool {
        self.sides
            .binary_search_by_key(&passage, |side| side.passage)
            .is_ok()
    }

    /// The item that is this passage.
    pub(super) fn of_passage(&self, passage: u32) -> Option<usize> {
        self.sides
            .binary_search_by_key(&passage, |side| side.passage)
            .ok()
    }

    /// The item that is this document as a whole. Documents with higher numbers have passages with higher
    /// numbers, so both are in order.
    pub(super) fn of_document(&self, document: u32) -> Option<usize> {
        self.sides
            .binary_search_by_key(&document, |side| side.document)
            .ok()
    }

    fn push(&mut self, row: &Row<'a>, vector: Cow<'a, [f32]>) {
        self.sides.push(Side {
            document: row.document,
            passage: row.passage,
        });
        self.vectors.push(vector);
    }
}

/// The vector that stands for a document, as `Reader::mean_vector` has it, of length 1.
fn mean_of<'a>(rows: &[Row<'a>]) -> Cow<'a, [f32]> {
    if let [row] = rows {
        return Cow::Borrowed(row.vector);
    }
    let vectors: Vec<&[f32]> = rows.iter().map(|row| row.vector).collect();
    Cow::Owned(mean_unit(&vectors))
}
