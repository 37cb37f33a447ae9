//! The newest vectors of a collection, which no segment holds yet.

use std::sync::Arc;

use super::chunk::{CHUNK_ROWS, Chunk};
use super::row::Row;
use crate::segments::Head as _;

/// Rows in the order of their passages. Cloning copies pointers only.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    dimensions: usize,
    chunks: Vec<Arc<Chunk>>,
}

impl Head {
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            chunks: Vec::new(),
        }
    }

    pub(super) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Adds a row whose passage is greater than all before.
    pub(super) fn push(&mut self, row: &Row<'_>) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK_ROWS => Arc::make_mut(last).push(row),
            _ => {
                let mut chunk = Chunk::default();
                chunk.push(row);
                self.chunks.push(Arc::new(chunk));
            }
        }
    }

    /// Memory of the rows.
    pub(super) fn bytes(&self) -> usize {
        let row = size_of::<f32>() * self.dimensions + 2 * size_of::<u32>();
        self.len() * row
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let chunks = self.chunks.iter();
        chunks.flat_map(|chunk| chunk.rows(self.dimensions))
    }

    /// Only the rows that are kept, in new chunks.
    pub(super) fn retained(&self, keep: impl Fn(u32) -> bool) -> Self {
        let mut head = Self::new(self.dimensions);
        for row in self.rows().filter(|row| keep(row.passage)) {
            head.push(&row);
        }
        head
    }
}

impl crate::segments::Head for Head {
    fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    fn end(&self) -> u32 {
        let last = self.chunks.last().and_then(|chunk| chunk.last_passage());
        last.map_or(0, |last| last + 1)
    }

    fn since(&self, first: u32) -> Self {
        let mut head = Self::new(self.dimensions);
        for chunk in &self.chunks {
            if chunk
                .first_passage()
                .is_some_and(|passage| passage >= first)
            {
                head.chunks.push(Arc::clone(chunk));
            } else {
                let rows = chunk.rows(self.dimensions);
                rows.filter(|row| row.passage >= first)
                    .for_each(|row| head.push(&row));
            }
        }
        head
    }

    fn passages(&self) -> impl Iterator<Item = u32> {
        self.rows().map(|row| row.passage)
    }
}
