//! A block of vectors that are scanned together.

use super::kernel::dot;

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

/// One row of a chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) vector: &'a [f32],
    pub(super) passage: u32,
    pub(super) document: u32,
}

impl Row<'_> {
    pub(super) fn score(&self, query: &[f32]) -> f32 {
        dot(self.vector, query).clamp(-1.0, 1.0)
    }
}

impl Chunk {
    pub(super) fn push(&mut self, row: Row<'_>) {
        self.vectors.extend_from_slice(row.vector);
        self.passages.push(row.passage);
        self.documents.push(row.document);
    }

    pub(super) fn len(&self) -> usize {
        self.passages.len()
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
