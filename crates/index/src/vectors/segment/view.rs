//! The parts of a segment as slices.

use roaring::RoaringBitmap;

use super::header::{Damage, Header};
use super::layout::Layout;
use crate::VectorPrecision;
use crate::vectors::graph::NO_ROW;
use crate::vectors::row::{HeldRow, Row};
use crate::vectors::sketch::Sketches;
use crate::vectors::two_level::{FineHead, TwoLevel, TwoLevelMatrix, Values};
use siamese_kernels::prefetch;

/// Cache lines of a vector that are asked for ahead; the CPU brings the rest by itself.
const VECTOR_LINES_AHEAD: usize = 8;

/// All parts, typed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(super) header: &'a Header,
    pub(super) sketches: Sketches<'a>,
    /// The mean of all vectors.
    pub(super) centre: &'a [f32],
    pub(crate) passages: &'a [u32],
    pub(super) documents: &'a [u32],
    pub(super) ordered_passages: &'a [u32],
    pub(super) by_passage: &'a [u32],
    pub(super) islands: &'a [u32],
    neighbours: &'a [u32],
    codes: &'a [i8],
    vectors: &'a [f32],
    fine_codes: &'a [i8],
    fine_heads: &'a [[f32; 2]],
    bytes: &'a [u8],
    layout: &'a Layout,
}

/// A level above the bottom.
#[derive(Debug, Clone, Copy)]
pub(super) struct UpperView<'a> {
    pub(super) below: &'a [u32],
    neighbours: &'a [u32],
    width: usize,
}

impl<'a> View<'a> {
    /// `bytes` is a mapped file, which begins at a multiple of a page, with all of the layout.
    pub(super) fn new(bytes: &'a [u8], header: &'a Header, layout: &'a Layout) -> Self {
        let words = |range: &std::ops::Range<usize>| -> &'a [u32] {
            bytemuck::cast_slice(&bytes[range.clone()])
        };
        Self {
            header,
            sketches: Sketches::new(&bytes[layout.sketches.clone()], header.dimensions as usize),
            centre: bytemuck::cast_slice(&bytes[layout.centre.clone()]),
            passages: words(&layout.passages),
            documents: words(&layout.documents),
            ordered_passages: words(&layout.ordered_passages),
            by_passage: words(&layout.by_passage),
            islands: words(&layout.islands),
            neighbours: words(&layout.neighbours),
            codes: bytemuck::cast_slice(&bytes[layout.codes.clone()]),
            vectors: bytemuck::cast_slice(&bytes[layout.vectors.clone()]),
            fine_codes: bytemuck::cast_slice(&bytes[layout.fine_codes.clone()]),
            fine_heads: bytemuck::cast_slice(&bytes[layout.fine_heads.clone()]),
            bytes,
            layout,
        }
    }

    #[inline]
    pub(super) fn codes(&self, row: u32) -> &'a [i8] {
        let stride = self.header.code_stride();
        &self.codes[row as usize * stride..][..stride]
    }

    /// Step of a row's codes.
    #[inline]
    pub(crate) fn step(&self, row: u32) -> f32 {
        self.sketches.head(row).step
    }

    /// Codes of all rows, one behind the other.
    #[inline]
    pub(super) fn code_matrix(&self) -> &'a [i8] {
        self.codes
    }

    #[inline]
    pub(super) fn neighbours(&self, row: u32) -> &'a [u32] {
        let width = self.header.bottom_width();
        &self.neighbours[row as usize * width..][..width]
    }

    #[inline]
    pub(super) fn vector(&self, row: u32) -> &'a [f32] {
        let start = row as usize * self.header.vector_stride();
        &self.vectors[start..][..self.header.dimensions as usize]
    }

    /// Returns whether it has codes in the place of vectors.
    pub(crate) fn is_compact(&self) -> bool {
        self.header.precision == VectorPrecision::Compact
    }

    /// A row of a segment that is not compact.
    pub(crate) fn row(&self, row: u32) -> Row<'a> {
        Row {
            vector: self.vector(row),
            passage: self.passages[row as usize],
            document: self.document(row),
        }
    }

    /// A row of any segment.
    pub(crate) fn held_row(&self, row: u32) -> HeldRow<'a> {
        let values = match self.is_compact() {
            false => Values::Exact(self.vector(row)),
            true => Values::Coded(self.two_level(row)),
        };
        HeldRow {
            values,
            passage: self.passages[row as usize],
            document: self.document(row),
        }
    }

    pub(crate) fn document(&self, row: u32) -> u32 {
        self.documents[row as usize]
    }

    /// Both codes of a row of a compact segment.
    fn two_level(&self, row: u32) -> TwoLevel<'a> {
        TwoLevel {
            coarse: self.codes(row),
            step: self.step(row),
            fine: self.fine_codes(row),
            head: self.fine_head(row),
        }
    }

    /// Both codes of all rows of a compact segment.
    pub(crate) fn two_level_matrix(&self) -> TwoLevelMatrix<'a> {
        TwoLevelMatrix {
            coarse: self.codes,
            fine: self.fine_codes,
        }
    }

    #[inline]
    pub(crate) fn fine_head(&self, row: u32) -> FineHead {
        FineHead::of(self.fine_heads[row as usize])
    }

    #[inline]
    fn fine_codes(&self, row: u32) -> &'a [i8] {
        let stride = self.header.code_stride();
        &self.fine_codes[row as usize * stride..][..stride]
    }

    /// The rows of some of its passages, in the order of passages.
    pub(crate) fn rows_of(self, passages: &'a RoaringBitmap) -> impl Iterator<Item = u32> + 'a {
        let mut place = 0;
        passages.iter().filter_map(move |passage| {
            place += ahead(&self.ordered_passages[place..], passage);
            self.by_passage.get(place).copied()
        })
    }

    /// Begins to load a row's vector.
    pub(crate) fn prefetch_vector(&self, row: u32) {
        prefetch(self.vector(row), VECTOR_LINES_AHEAD);
    }

    /// Begins to load what a compact segment has of a row.
    pub(crate) fn prefetch_two_level(&self, row: u32) {
        prefetch(self.codes(row), VECTOR_LINES_AHEAD);
        prefetch(self.fine_codes(row), VECTOR_LINES_AHEAD);
        prefetch(&self.fine_heads[row as usize..][..1], 1);
        prefetch(self.sketches.bytes(row), 1);
    }

    /// Levels above the bottom.
    pub(super) fn upper_levels(&self) -> usize {
        self.layout.upper.len()
    }

    /// A level above the bottom, from 0.
    pub(super) fn upper(&self, level: usize) -> UpperView<'a> {
        let layout = &self.layout.upper[level];
        UpperView {
            below: bytemuck::cast_slice(&self.bytes[layout.below.clone()]),
            neighbours: bytemuck::cast_slice(&self.bytes[layout.neighbours.clone()]),
            width: self.header.upper_width(),
        }
    }

    /// Checks that every number names a row, so that no walk leaves the file.
    pub(super) fn check(&self) -> Result<(), Damage> {
        let rows = self.header.rows() as u32;
        let is_row = |row: &u32| *row < rows;
        let is_place = |row: &u32| *row < rows || *row == NO_ROW;
        if !self.by_passage.iter().chain(self.islands).all(is_row) {
            return Err(Damage::Content("row numbers"));
        }
        if !self.neighbours.iter().all(is_place) {
            return Err(Damage::Content("neighbours"));
        }
        let mut rows_below = rows;
        for level in (0..self.upper_levels()).map(|level| self.upper(level)) {
            let rows = level.below.len() as u32;
            let below = level.below.iter().all(|row| *row < rows_below);
            let neighbours = level.neighbours.iter();
            if !below
                || !neighbours
                    .into_iter()
                    .all(|row| *row < rows || *row == NO_ROW)
            {
                return Err(Damage::Content("levels"));
            }
            rows_below = rows;
        }
        Ok(())
    }
}

impl<'a> UpperView<'a> {
    pub(super) fn neighbours(&self, row: u32) -> impl Iterator<Item = u32> + Clone + 'a {
        let row = &self.neighbours[row as usize * self.width..][..self.width];
        row.iter().copied().take_while(|row| *row != NO_ROW)
    }
}

/// How many numbers at the beginning of a sorted list, which has none twice, are less than `target`. Where no number
/// is left out between the first and the target, that is their difference.
fn ahead(sorted: &[u32], target: u32) -> usize {
    let first = sorted.first().copied().unwrap_or(target);
    let difference = target.saturating_sub(first) as usize;
    if sorted.get(difference) == Some(&target) {
        return difference;
    }
    gallop(sorted, target)
}

/// The same in steps that double, since the next number asked for is mostly near.
fn gallop(sorted: &[u32], target: u32) -> usize {
    let mut end = 1;
    while sorted.get(end - 1).is_some_and(|number| *number < target) {
        end *= 2;
    }
    let start = end / 2;
    let end = end.min(sorted.len());
    start + sorted[start..end].partition_point(|number| *number < target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn galloping_finds_every_place() {
        let sorted: Vec<u32> = (0..100).map(|number| number * 3).collect();
        for length in 0..sorted.len() {
            for target in 0..310 {
                let expected = sorted[..length]
                    .iter()
                    .filter(|number| **number < target)
                    .count();
                let found = [gallop, ahead].map(|find| find(&sorted[..length], target));
                assert_eq!(found, [expected; 2], "{length} {target}");
                // Without gaps, and with one.
                let shifted: Vec<u32> = (5..5 + length as u32).collect();
                let before = shifted.iter().filter(|number| **number < target);
                assert_eq!(ahead(&shifted, target), before.count());
            }
        }
    }
}
