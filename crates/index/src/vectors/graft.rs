//! Adding rows to a graph (HNSW, Malkov and Yashunin 2018, algorithms 1 and 4).
//!
//! hnsw_rs makes the first part of a graph; this adds the rest. It walks by codes, over flat
//! arrays, and reads without locks, which is several times faster.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::beam::{Beam, Reached};
use super::code_matrix::CodeMatrix;
use super::graph::RawGraph;
use super::growing_graph::GrowingGraph;
use super::hnsw::{BuildFailure, BuildOptions};
use super::scratch::Scratch;
use siamese_kernels::{Kernels, prefetch};

/// Cache lines of a row of codes that are asked for ahead.
const LINES_AHEAD: usize = 6;

/// Adds the rows from `seeded` on to a graph of the rows before.
pub(crate) fn graft(
    seed: &RawGraph,
    seeded: usize,
    codes: &CodeMatrix,
    options: &BuildOptions<'_>,
) -> Result<RawGraph, BuildFailure> {
    let grafting = Grafting {
        graph: GrowingGraph::new(seed, codes.rows(), options.settings.m),
        codes,
        kernels: Kernels::detected(),
        ef_construction: options.settings.ef_construction,
        m: options.settings.m,
    };
    let next = AtomicUsize::new(seeded);
    let add_all = || {
        std::thread::scope(|scope| {
            for _ in 0..options.threads {
                scope.spawn(|| grafting.add_some(&next, options));
            }
        });
    };
    catch_unwind(AssertUnwindSafe(add_all)).map_err(|_| BuildFailure::Panicked)?;
    if options.stop.is_cancelled() {
        return Err(BuildFailure::Stopped);
    }
    Ok(grafting.graph.into_raw())
}

/// A graph that grows, and what it is made of.
struct Grafting<'a> {
    graph: GrowingGraph,
    codes: &'a CodeMatrix,
    kernels: &'static Kernels,
    ef_construction: usize,
    m: usize,
}

impl Grafting<'_> {
    /// Adds rows until there are no more.
    fn add_some(&self, next: &AtomicUsize, options: &BuildOptions<'_>) {
        let mut scratch = Scratch::take();
        while !options.stop.is_cancelled() {
            let row = next.fetch_add(1, Ordering::Relaxed);
            if row >= self.codes.rows() {
                break;
            }
            self.add(row as u32, &mut scratch);
        }
        scratch.give_back();
    }

    fn add(&self, row: u32, scratch: &mut Scratch) {
        let (entry, top) = (self.graph.entry(), self.graph.top(row));
        let mut at = entry.node;
        for level in (top + 1..=entry.level).rev() {
            at = self.climb(row, at, level);
        }
        for level in (0..=top.min(entry.level)).rev() {
            let found = self.nearest(row, at, level, scratch);
            at = found.first().map_or(at, |best| best.row);
            let chosen = self.chosen(&found, self.m);
            let guard = self.graph.lock(row);
            self.graph.set(row, level, &chosen);
            drop(guard);
            for neighbour in chosen {
                self.link(neighbour, row, level);
            }
        }
        self.graph.raise_entry(row);
    }

    /// Cosine of two rows by codes.
    #[inline]
    fn score(&self, left: u32, right: u32) -> f32 {
        let (left, right) = (left as usize, right as usize);
        let dot = self
            .kernels
            .dot_codes(self.codes.row(left), self.codes.row(right));
        dot as f32 * self.codes.step(left) * self.codes.step(right)
    }

    /// A row with its cosine with another.
    fn reached(&self, from: u32, row: u32) -> Reached {
        let score = self.score(from, row);
        Reached { score, row }
    }

    /// Goes to better neighbours on one level until there is none.
    fn climb(&self, row: u32, start: u32, level: usize) -> u32 {
        let (mut best, mut best_score) = (start, self.score(row, start));
        loop {
            let from = best;
            for neighbour in self.graph.neighbours(from, level) {
                let score = self.score(row, neighbour);
                if score > best_score {
                    (best, best_score) = (neighbour, score);
                }
            }
            if best == from {
                return best;
            }
        }
    }

    /// The nearest rows that a walk on one level meets, best first.
    fn nearest(&self, row: u32, start: u32, level: usize, scratch: &mut Scratch) -> Vec<Reached> {
        let mut beam = Beam::new(self.ef_construction);
        scratch.reset(self.codes.rows());
        // Others may have linked to the row already; it is no neighbour of itself.
        scratch.see(row);
        if scratch.see(start) {
            beam.offer(self.score(row, start), start);
        }
        while let Some(from) = beam.expand() {
            scratch.fresh.clear();
            for neighbour in self.graph.neighbours(from, level) {
                if scratch.see(neighbour) {
                    prefetch(self.codes.row(neighbour as usize), LINES_AHEAD);
                    scratch.fresh.push(neighbour);
                }
            }
            scratch.dots.resize(scratch.fresh.len(), 0);
            let query = self.codes.row(row as usize);
            let (matrix, rows) = (self.codes.matrix(), &scratch.fresh);
            self.kernels
                .dot_code_rows(query, matrix, rows, &mut scratch.dots);
            let step = self.codes.step(row as usize);
            for (neighbour, dot) in rows.iter().zip(&scratch.dots) {
                let score = *dot as f32 * step * self.codes.step(*neighbour as usize);
                beam.offer(score, *neighbour);
            }
        }
        beam.into_rows()
    }

    /// At most `most` of the candidates, which come best first: those that are nearer to the row
    /// than to any that was chosen before, so that neighbours lie in different directions.
    fn chosen(&self, candidates: &[Reached], most: usize) -> Vec<u32> {
        let mut chosen: Vec<u32> = Vec::with_capacity(most);
        for candidate in candidates {
            if chosen.len() == most {
                break;
            }
            let is_nearer = |other: &u32| self.score(candidate.row, *other) < candidate.score;
            if chosen.iter().all(is_nearer) {
                chosen.push(candidate.row);
            }
        }
        chosen
    }

    /// Makes `new` a neighbour of `node`, perhaps in place of others.
    fn link(&self, node: u32, new: u32, level: usize) {
        let _guard = self.graph.lock(node);
        let mut neighbours: Vec<u32> = self.graph.neighbours(node, level).collect();
        if neighbours.contains(&new) {
            return;
        }
        neighbours.push(new);
        let width = self.graph.width(level);
        if neighbours.len() > width {
            let scored = neighbours.iter().map(|row| self.reached(node, *row));
            let mut scored: Vec<Reached> = scored.collect();
            scored.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
            neighbours = self.chosen(&scored, width);
        }
        self.graph.set(node, level, &neighbours);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cancel;
    use crate::settings::GraphSettings;
    use crate::vectors::graph::Graph;
    use crate::vectors::hnsw;

    fn grafted(
        codes: &CodeMatrix,
        seeded: usize,
        is_stopped: bool,
    ) -> Result<RawGraph, BuildFailure> {
        let (go, stop) = (Cancel::default(), Cancel::default());
        if is_stopped {
            stop.cancel();
        }
        let options = |stop| BuildOptions {
            settings: GraphSettings {
                m: 4,
                ef_construction: 40,
                ..GraphSettings::default()
            },
            threads: 2,
            stop,
        };
        let seed = hnsw::build(codes, seeded, &options(&go)).unwrap();
        graft(&seed, seeded, codes, &options(&stop))
    }

    /// The row that is most like another.
    fn nearest(codes: &CodeMatrix, row: usize) -> u32 {
        let kernels = Kernels::detected();
        let score = |other: &usize| {
            let dot = kernels.dot_codes(codes.row(row), codes.row(*other));
            dot as f32 * codes.step(*other)
        };
        let others = (0..codes.rows()).filter(|other| *other != row);
        others.max_by(|a, b| score(a).total_cmp(&score(b))).unwrap() as u32
    }

    #[test]
    fn everything_can_be_reached_and_is_linked_to_what_is_nearest() {
        let codes = CodeMatrix::scattered(2000, 12);
        for seeded in [1, 100, 2000] {
            let raw = grafted(&codes, seeded, false).unwrap();
            let is_linked = |row: &usize| {
                let mut neighbours = raw.levels[0].of(*row);
                let nearest = nearest(&codes, *row);
                neighbours.any(|neighbour| neighbour == nearest)
            };
            let linked = (0..2000).step_by(10).filter(is_linked).count();
            // About 195; it depends on which of two threads comes first.
            assert!(linked > 175, "{seeded}: {linked} of 200");
            let graph = Graph::ordered(raw);
            assert_eq!(graph.levels[0].below.len(), 2000);
            // Mostly none to two: the first rows of an empty graph do not see one another.
            assert!(graph.islands.len() < 10, "{seeded}: {:?}", graph.islands);
        }
    }

    #[test]
    fn equal_rows_can_all_be_found() {
        let mut codes = CodeMatrix::new(3);
        (0..500).for_each(|_| codes.push(&[1.0, 0.0, 0.0]));
        let raw = grafted(&codes, 1, false).unwrap();
        let graph = Graph::ordered(raw);
        assert_eq!(graph.levels[0].below.len(), 500);
    }

    #[test]
    fn it_stops_when_it_is_asked_to() {
        assert_eq!(
            grafted(&CodeMatrix::scattered(500, 12), 10, true).err(),
            Some(BuildFailure::Stopped)
        );
    }
}
