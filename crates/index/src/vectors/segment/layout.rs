//! Where the parts of a segment stand in its file.

use std::ops::Range;

use super::header::{HEADER_BYTES, Header};
use crate::VectorPrecision;
use crate::vectors::code_matrix::LINE_BYTES;
use crate::vectors::graph::MAX_LEVELS;
use crate::vectors::sketch;

/// Byte ranges of the parts, in the order of the file. Each begins at a multiple of a cache line.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Neighbours on the bottom: u32, `bottom_width` a row.
    pub(super) neighbours: Range<usize>,
    /// Codes: i8, `code_stride` a row.
    pub(super) codes: Range<usize>,
    /// Sketches, each with the step of the row's codes: `sketch::stride` bytes a row.
    pub(super) sketches: Range<usize>,
    /// Passage numbers: u32.
    pub(super) passages: Range<usize>,
    /// Document numbers: u32.
    pub(super) documents: Range<usize>,
    /// Passage numbers in ascending order: u32.
    pub(super) ordered_passages: Range<usize>,
    /// Rows in the order of their passages: u32.
    pub(super) by_passage: Range<usize>,
    /// Rows that cannot be reached from row 0: u32.
    pub(super) islands: Range<usize>,
    /// For each level above the bottom: rows on the level below, and neighbours; u32.
    pub(super) upper: Vec<UpperLayout>,
    /// Vectors: f32, `vector_stride` a row. Empty in a compact file.
    pub(super) vectors: Range<usize>,
    /// Codes of what codes leave out: i8, `code_stride` a row. This and the next one are empty unless the file is compact.
    pub(super) fine_codes: Range<usize>,
    /// Their heads: two f32 a row.
    pub(super) fine_heads: Range<usize>,
    /// The mean of all vectors, which sketches start from: f32.
    pub(super) centre: Range<usize>,
    /// Length of the file.
    pub(super) end: usize,
}

#[derive(Debug, Clone)]
pub(super) struct UpperLayout {
    pub(super) below: Range<usize>,
    pub(super) neighbours: Range<usize>,
}

impl Header {
    /// Places for neighbours of a row on the bottom.
    pub(super) fn bottom_width(&self) -> usize {
        2 * self.m as usize
    }

    /// Places for neighbours of a row above the bottom.
    pub(super) fn upper_width(&self) -> usize {
        self.m as usize
    }

    /// Bytes of a row of codes.
    pub(super) fn code_stride(&self) -> usize {
        (self.dimensions as usize).next_multiple_of(LINE_BYTES)
    }

    /// Values of a row of vectors.
    pub(super) fn vector_stride(&self) -> usize {
        (self.dimensions as usize).next_multiple_of(LINE_BYTES / size_of::<f32>())
    }
}

impl Layout {
    /// Where the parts would be by a header that may say anything: what is beyond all bytes ends with the last of
    /// them, where no file does.
    pub(super) fn of(header: &Header) -> Self {
        let rows = header.rows();
        let mut end = HEADER_BYTES;
        let mut part = |rows: usize, row_bytes: usize| {
            let (start, bytes) = (end, rows.saturating_mul(row_bytes));
            let lines = bytes.checked_next_multiple_of(LINE_BYTES);
            end = end.saturating_add(lines.unwrap_or(usize::MAX));
            start..start.saturating_add(bytes)
        };
        let word = size_of::<u32>();
        let neighbours = part(rows, header.bottom_width() * word);
        let codes = part(rows, header.code_stride());
        let sketches = part(rows, sketch::stride(header.dimensions as usize));
        let [passages, documents, ordered_passages, by_passage] =
            [(); 4].map(|()| part(rows, word));
        let islands = part(header.islands as usize, word);
        let upper_rows = header.level_rows[1..MAX_LEVELS].iter();
        let upper = upper_rows
            .map(|rows| *rows as usize)
            .take_while(|rows| *rows > 0)
            .map(|rows| UpperLayout {
                below: part(rows, word),
                neighbours: part(rows, header.upper_width() * word),
            })
            .collect();
        let (with_vectors, with_fine_codes) = match header.precision {
            VectorPrecision::Full => (rows, 0),
            VectorPrecision::Compact => (0, rows),
        };
        let vectors = part(with_vectors, header.vector_stride() * word);
        let fine_codes = part(with_fine_codes, header.code_stride());
        let fine_heads = part(with_fine_codes, size_of::<[f32; 2]>());
        let centre = part(header.dimensions as usize, word);
        Self {
            neighbours,
            codes,
            sketches,
            passages,
            documents,
            ordered_passages,
            by_passage,
            islands,
            upper,
            vectors,
            fine_codes,
            fine_heads,
            centre,
            end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_says_more_than_there_can_be_leads_beyond_every_file() {
        // Twice as many neighbours of four bytes: 2^66 bytes, which would be 0 of 64 bits.
        let mut header = Header {
            dimensions: 1,
            m: 1 << 31,
            ..Header::default()
        };
        header.level_rows[0] = 1 << 31;
        assert_eq!(Layout::of(&header).end, usize::MAX);
        header.level_rows[0] = 1;
        assert!(Layout::of(&header).end < 1 << 40);
    }
}
