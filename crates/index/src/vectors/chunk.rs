//! A block of vectors that are scanned together.

use super::row::Row;

/// Rows of a full chunk: small enough to copy when one row is added, large enough to scan fast.
pub(super) const CHUNK_ROWS: usize = 1024;

/// Vectors, and whose they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunk {
    /// Row-major, one row a passage.
    vectors: Vec<f32>,
    passages: Vec<u32>,
    documents: Vec<u32>,
}

impl Chunk {
    pub(super) fn push(&mut self, row: &Row<'_>) {
        self.vectors.extend_from_slice(row.vector);
        self.passages.push(row.passage);
        self.documents.push(row.document);
    }

    pub(super) fn len(&self) -> usize {
        self.passages.len()
    }

    pub(super) fn first_passage(&self) -> Option<u32> {
        self.passages.first().copied()
    }

    pub(super) fn last_passage(&self) -> Option<u32> {
        self.passages.last().copied()
    }

    pub(super) fn rows(&self, dimensions: usize) -> impl Iterator<Item = Row<'_>> {
        let numbers = self.passages.iter().zip(&self.documents);
        self.vectors
            .chunks_exact(dimensions)
            .zip(numbers)
            .map(|(vector, (passage, document))| Row {
                vector,
                passage: *passage,
                document: *document,
            })
    }
}
