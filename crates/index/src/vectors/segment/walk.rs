//! The walk over a segment's graph, by codes, and the exact scores of what it found.

use super::VectorSegment;
use super::view::View;
use crate::vectors::beam::{Beam, Reached};
use crate::vectors::codes::encode;
use crate::vectors::graph::NO_ROW;
use crate::vectors::scratch::Scratch;
use siamese_kernels::{Kernels, prefetch};

/// Cache lines of a row of codes that are asked for ahead; the CPU brings the rest by itself.
const LINES_AHEAD: usize = 6;
/// Cache lines of a row of neighbours that are asked for ahead.
const NEIGHBOUR_LINES_AHEAD: usize = 2;

/// Rows between the one that is scored and the one that is asked for.
const ROWS_AHEAD: usize = 4;

/// Rows by which the scores of all rows are judged.
const SAMPLED_ROWS: usize = 128;

/// What a walk met.
#[derive(Debug)]
pub(crate) struct Walked {
    /// Best first.
    pub(crate) rows: Vec<Reached>,
    /// Whether the wanted rows were found early on the way.
    pub(crate) is_settled: bool,
}

/// How the scores of all rows are distributed, about.
#[derive(Debug, Clone, Copy)]
pub(in crate::vectors) struct Scores {
    pub(crate) mean: f32,
    pub(crate) deviation: f32,
}

/// One query on its way through one segment.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    view: View<'a>,
    kernels: &'static Kernels,
    /// As long as a row of codes.
    query: Vec<i8>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(segment: &'a VectorSegment, query: &[f32]) -> Self {
        let view = segment.view();
        let mut codes = vec![0; view.header.code_stride()];
        // The query's own step is the same for all rows, so the order does not need it.
        encode(query, &mut codes);
        Self {
            view,
            kernels: Kernels::detected(),
            query: codes,
        }
    }

    /// The `ef` best rows that the walk meets. They are settled when the best `wanted` of them were
    /// found in the first `1 / patience` of it.
    pub(crate) fn nearest(
        &self,
        ef: usize,
        wanted: usize,
        patience: usize,
        scratch: &mut Scratch,
    ) -> Walked {
        let mut beam = Beam::for_wanted(ef, wanted);
        if self.view.header.rows() > 0 {
            self.fill(&mut beam, scratch);
        }
        Walked {
            is_settled: beam.is_settled(patience),
            rows: beam.into_rows(),
        }
    }

    fn fill(&self, beam: &mut Beam, scratch: &mut Scratch) {
        scratch.reset(self.view.header.rows());
        let entry = self.descend();
        for row in std::iter::once(entry).chain(self.view.islands.iter().copied()) {
            if scratch.see(row) {
                beam.offer(self.score(row), row);
            }
        }
        while let Some(row) = beam.expand() {
            self.look_around(row, scratch);
            if let Some(next) = beam.next_row() {
                prefetch(self.view.neighbours(next), NEIGHBOUR_LINES_AHEAD);
            }
            for row in &scratch.fresh {
                beam.offer(self.score(*row), *row);
            }
        }
    }

    /// Mean and deviation of all rows' scores, by some that are the same for every query.
    pub(in crate::vectors) fn scores(&self) -> Scores {
        let rows = self.view.header.rows();
        let step = (rows / SAMPLED_ROWS).max(1);
        let sampled = self.scored((0..rows as u32).step_by(step));
        let count = sampled.len().max(1) as f32;
        let mean = sampled.iter().map(|row| row.score).sum::<f32>() / count;
        let squares = sampled.iter().map(|row| (row.score - mean).powi(2));
        Scores {
            mean,
            deviation: (squares.sum::<f32>() / count).sqrt(),
        }
    }

    /// Scores of rows, in their order.
    pub(crate) fn scored(&self, rows: impl Iterator<Item = u32>) -> Vec<Reached> {
        let rows: Vec<u32> = rows.collect();
        let ahead = rows
            .iter()
            .skip(ROWS_AHEAD)
            .map(Some)
            .chain(std::iter::repeat(None));
        let rows = rows.iter().zip(ahead);
        rows.map(|(row, ahead)| {
            if let Some(ahead) = ahead {
                prefetch(self.view.codes(*ahead), LINES_AHEAD);
            }
            Reached::new(self.score(*row), *row)
        })
        .collect()
    }

    /// Score of a row by codes.
    #[inline]
    fn score(&self, row: u32) -> f32 {
        let dot = self.kernels.dot_codes(&self.query, self.view.codes(row));
        dot as f32 * self.view.steps[row as usize]
    }

    /// Collects the neighbours of a row that have not been seen, and asks for their codes.
    fn look_around(&self, row: u32, scratch: &mut Scratch) {
        scratch.fresh.clear();
        for neighbour in self.view.neighbours(row) {
            if *neighbour == NO_ROW {
                break;
            }
            if scratch.see(*neighbour) {
                prefetch(self.view.codes(*neighbour), LINES_AHEAD);
                scratch.fresh.push(*neighbour);
            }
        }
    }

    /// The row of the bottom at which the walk begins.
    fn descend(&self) -> u32 {
        let mut row = 0;
        for level in (0..self.view.upper_levels()).rev() {
            row = self.climb(level, row);
            row = self.view.upper(level).below[row as usize];
        }
        row
    }

    /// Goes to better neighbours on one level until there is none.
    fn climb(&self, level: usize, start: u32) -> u32 {
        let upper = self.view.upper(level);
        let (mut best, mut best_score) = (start, self.score(self.bottom_row(level, start)));
        loop {
            let from = best;
            for row in upper.neighbours(from) {
                let score = self.score(self.bottom_row(level, row));
                if score > best_score {
                    (best, best_score) = (row, score);
                }
            }
            if best == from {
                return best;
            }
        }
    }

    fn bottom_row(&self, level: usize, row: u32) -> u32 {
        let levels = (0..=level).rev();
        levels.fold(row, |row, level| self.view.upper(level).below[row as usize])
    }
}
