//! The walk over a segment's graph, by codes, and the exact scores of what it found.

use super::VectorSegment;
use super::view::View;
use crate::vectors::beam::{Beam, Reached};
use crate::vectors::codes::encode;
use crate::vectors::graph::NO_ROW;
use crate::vectors::scratch::Scratch;
use crate::vectors::shortlist::Shortlist;
use crate::vectors::sketch::{Floor, SketchQuery};
use siamese_kernels::{Kernels, prefetch};

/// Cache lines of a row of codes that are asked for ahead; the CPU brings the rest by itself.
const LINES_AHEAD: usize = 6;
/// Cache lines of a sketch that are asked for ahead.
const SKETCH_LINES_AHEAD: usize = 2;
/// Cache lines of a row of neighbours that are asked for ahead.
const NEIGHBOUR_LINES_AHEAD: usize = 2;

/// Rows that are looked at together, while the next so many are asked for.
const ROWS_TOGETHER: usize = 32;

/// How sure it must be that a row is worse than those that are kept before it is passed over, in deviations of its
/// sketch. A walk comes by the neighbourhood again; a scan does not.
const DOUBT_OF_WALKS: f32 = 1.5;
const DOUBT_OF_SCANS: f32 = 3.0;

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
    /// What a code of the query stands for. Scores are without it: it is the same for all rows, so their order does
    /// not need it.
    query_step: f32,
    sketched: SketchQuery,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(segment: &'a VectorSegment, query: &[f32]) -> Self {
        let view = segment.view();
        let mut codes = vec![0; view.header.code_stride()];
        let query_step = encode(query, &mut codes);
        Self {
            view,
            kernels: Kernels::detected(),
            query: codes,
            query_step,
            sketched: SketchQuery::new(query, view.centre),
        }
    }

    /// How far the score of a row may be from what its vector has, as a standard deviation.
    ///
    /// What rounding takes away of a value is anything between plus and minus half a step, whose deviation is a step
    /// over the root of 12. Both vectors have length 1, so that as much comes of each, with its own step.
    pub(crate) fn uncertainty(&self, row: u32) -> f32 {
        let step = self.view.step(row);
        (step.hypot(self.query_step) / 12.0_f32.sqrt()) / self.query_step.max(f32::MIN_POSITIVE)
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
        let entry = self.descend(scratch);
        scratch.fresh.clear();
        for row in std::iter::once(entry).chain(self.view.islands.iter().copied()) {
            if scratch.see(row) {
                scratch.fresh.push(row);
            }
        }
        self.offer_fresh(beam, scratch);
        while let Some(row) = beam.expand() {
            self.look_around(row, scratch);
            if let Some(next) = beam.next_row() {
                prefetch(self.view.neighbours(next), NEIGHBOUR_LINES_AHEAD);
            }
            self.sift(beam.floor(), DOUBT_OF_WALKS, scratch);
            self.offer_fresh(beam, scratch);
        }
    }

    /// Scores the fresh rows and offers them to the beam.
    fn offer_fresh(&self, beam: &mut Beam, scratch: &mut Scratch) {
        self.dots(&scratch.fresh, &mut scratch.dots);
        for (row, dot) in scratch.fresh.iter().zip(&scratch.dots) {
            beam.offer(self.score(*row, *dot), *row);
        }
    }

    /// Mean and deviation of all rows' scores, by some that are the same for every query.
    pub(in crate::vectors) fn scores(&self) -> Scores {
        let rows = self.view.header.rows();
        let step = (rows / SAMPLED_ROWS).max(1);
        let sampled: Vec<u32> = (0..rows as u32).step_by(step).collect();
        for row in &sampled {
            prefetch(self.view.codes(*row), LINES_AHEAD);
        }
        let mut dots = Vec::new();
        self.dots(&sampled, &mut dots);
        let scores = sampled.iter().zip(&dots);
        let scores: Vec<f32> = scores.map(|(row, dot)| self.score(*row, *dot)).collect();
        let count = scores.len().max(1) as f32;
        let mean = scores.iter().sum::<f32>() / count;
        let squares = scores.iter().map(|score| (score - mean).powi(2));
        Scores {
            mean,
            deviation: (squares.sum::<f32>() / count).sqrt(),
        }
    }

    /// The `most` best of some rows, best first.
    pub(crate) fn best_of(
        &self,
        rows: impl Iterator<Item = u32>,
        most: usize,
        scratch: &mut Scratch,
    ) -> Vec<Reached> {
        let mut best = Shortlist::new(most);
        let rows: Vec<u32> = rows.collect();
        for start in (0..rows.len()).step_by(ROWS_TOGETHER) {
            let (now, later) = rows[start..].split_at(ROWS_TOGETHER.min(rows.len() - start));
            for row in later.iter().take(ROWS_TOGETHER) {
                prefetch(self.view.sketches.bytes(*row), SKETCH_LINES_AHEAD);
            }
            scratch.fresh.clear();
            scratch.fresh.extend_from_slice(now);
            self.sift(best.floor(), DOUBT_OF_SCANS, scratch);
            self.dots(&scratch.fresh, &mut scratch.dots);
            for (row, dot) in scratch.fresh.iter().zip(&scratch.dots) {
                best.offer(Reached {
                    score: self.score(*row, *dot),
                    row: *row,
                });
            }
        }
        best.into_sorted()
    }

    /// Dot products of the codes of rows with those of the query.
    #[inline]
    fn dots(&self, rows: &[u32], dots: &mut Vec<i32>) {
        dots.resize(rows.len(), 0);
        let codes = self.view.code_matrix();
        self.kernels.dot_code_rows(&self.query, codes, rows, dots);
    }

    /// Score of a row by codes, of their dot product.
    #[inline]
    fn score(&self, row: u32, dot: i32) -> f32 {
        dot as f32 * self.view.step(row)
    }

    /// Collects the neighbours of a row that have not been seen, and asks for their sketches.
    fn look_around(&self, row: u32, scratch: &mut Scratch) {
        scratch.fresh.clear();
        for neighbour in self.view.neighbours(row) {
            if *neighbour == NO_ROW {
                break;
            }
            if scratch.see(*neighbour) {
                scratch.fresh.push(*neighbour);
            }
        }
        for row in &scratch.fresh {
            prefetch(self.view.sketches.bytes(*row), SKETCH_LINES_AHEAD);
        }
    }

    /// Keeps only those of the fresh rows that may have a score above the floor, if there is one, and asks for their
    /// codes.
    fn sift(&self, floor: Option<f32>, doubt: f32, scratch: &mut Scratch) {
        if let Some(floor) = floor {
            let score = floor * self.query_step;
            let (rows, sums) = (&mut scratch.fresh, &mut scratch.dots);
            let floor = Floor { score, doubt };
            self.sketched.sift(&self.view.sketches, floor, rows, sums);
        }
        for row in &scratch.fresh {
            prefetch(self.view.codes(*row), LINES_AHEAD);
        }
    }

    /// The row of the bottom at which the walk begins.
    fn descend(&self, scratch: &mut Scratch) -> u32 {
        let mut row = 0;
        for level in (0..self.view.upper_levels()).rev() {
            row = self.climb(level, row, scratch);
            row = self.view.upper(level).below[row as usize];
        }
        row
    }

    /// Goes to better neighbours on one level until there is none.
    fn climb(&self, level: usize, start: u32, scratch: &mut Scratch) -> u32 {
        let upper = self.view.upper(level);
        let (mut at, mut score) = (start, f32::MIN);
        let mut best = self.best(level, std::iter::once(start), scratch);
        while let Some(better) = best.filter(|best| best.score > score) {
            (at, score) = (better.row, better.score);
            best = self.best(level, upper.neighbours(at), scratch);
        }
        at
    }

    /// The best of some rows of a level above the bottom.
    fn best(
        &self,
        level: usize,
        rows: impl Iterator<Item = u32> + Clone,
        scratch: &mut Scratch,
    ) -> Option<Reached> {
        scratch.fresh.clear();
        for row in rows.clone() {
            let row = self.bottom_row(level, row);
            prefetch(self.view.codes(row), LINES_AHEAD);
            scratch.fresh.push(row);
        }
        self.dots(&scratch.fresh, &mut scratch.dots);
        let bottom = scratch.fresh.iter().zip(&scratch.dots);
        let scored = rows.zip(bottom).map(|(row, (bottom, dot))| Reached {
            score: self.score(*bottom, *dot),
            row,
        });
        scored.reduce(|best, other| {
            if other.score > best.score {
                other
            } else {
                best
            }
        })
    }

    fn bottom_row(&self, level: usize, row: u32) -> u32 {
        let levels = (0..=level).rev();
        levels.fold(row, |row, level| self.view.upper(level).below[row as usize])
    }
}
