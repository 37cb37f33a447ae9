//! What is compared: documents or passages, each with one vector.

use std::borrow::Cow;

use roaring::RoaringBitmap;

use super::{AlikeScope, Side};
use crate::memory::MemoryShare;
use crate::vectors::{ExactVectors, HeldRow, Values, mean_unit};
use crate::{Cancel, Error};

/// Documents or passages in the order of their first passages.
pub(super) struct Items<'a> {
    sides: Vec<Side>,
    /// Of length 1, or zero.
    vectors: Vec<Cow<'a, [f32]>>,
    /// What those take that were read.
    _room: MemoryShare,
}

impl<'a> Items<'a> {
    /// Those of `documents`, of rows in the order of their passages. Vectors that are not at hand are read, for which there
    /// must be room; documents that have been removed since are left out.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or what reading fails with.
    pub(super) fn of(
        rows: &[HeldRow<'a>],
        documents: &RoaringBitmap,
        scope: AlikeScope,
        (exact, room): (&impl ExactVectors<Error = Error>, MemoryShare),
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let mut items = Self {
            sides: Vec::new(),
            vectors: Vec::new(),
            _room: room,
        };
        for rows in rows.chunk_by(|row, next| row.document == next.document) {
            if !rows
                .first()
                .is_some_and(|row| documents.contains(row.document))
            {
                continue;
            }
            let Some(vectors) = vectors_of(rows, exact, cancel)? else {
                continue;
            };
            match scope {
                AlikeScope::Passages => {
                    let rows = rows.iter().zip(vectors);
                    rows.for_each(|(row, vector)| items.push(row, vector));
                }
                AlikeScope::Documents => items.push(&rows[0], mean_of(vectors)),
            }
        }
        Ok(items)
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

    fn push(&mut self, row: &HeldRow<'a>, vector: Cow<'a, [f32]>) {
        self.sides.push(Side {
            document: row.document,
            passage: row.passage,
        });
        self.vectors.push(vector);
    }
}

/// The vectors of a document's passages; `None` when it has been removed since.
fn vectors_of<'a>(
    rows: &[HeldRow<'a>],
    exact: &impl ExactVectors<Error = Error>,
    cancel: &Cancel,
) -> Result<Option<Vec<Cow<'a, [f32]>>>, Error> {
    let vector = |row: &HeldRow<'a>| match row.values {
        Values::Exact(vector) => Ok(Some(Cow::Borrowed(vector))),
        Values::Coded(_) => {
            cancel.check()?;
            Ok(exact.vector(row.passage)?.map(Cow::Owned))
        }
    };
    rows.iter().map(vector).collect()
}

/// The vector that stands for a document, as `Reader::mean_vector` has it, of length 1.
fn mean_of(mut vectors: Vec<Cow<'_, [f32]>>) -> Cow<'_, [f32]> {
    if vectors.len() == 1 {
        return vectors.swap_remove(0);
    }
    let vectors: Vec<&[f32]> = vectors.iter().map(|vector| &**vector).collect();
    Cow::Owned(mean_unit(&vectors))
}
