//! Building a graph with hnsw_rs: the only file that knows it.
//!
//! hnsw_rs panics on what it does not expect and asserts that distances are not negative, so the
//! distance is ours and clamped, and every call runs under `catch_unwind`. A graph is never dumped
//! nor loaded: its neighbours are copied out, and it is dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use hnsw_rs::prelude::{Distance, Hnsw};

use super::code_matrix::CodeMatrix;
use super::graph::{MAX_LEVELS, NO_ROW, RawGraph, RawLevel};
use crate::Cancel;
use crate::settings::GraphSettings;
use siamese_kernels::Kernels;

/// Bytes after the codes of a row: its step.
const STEP_BYTES: usize = size_of::<f32>();

/// Why there is no graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BuildFailure {
    #[error("the build was stopped")]
    Stopped,
    /// hnsw_rs or our own code.
    #[error("the graph builder panicked")]
    Panicked,
}

/// How a graph is built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuildOptions<'a> {
    pub(crate) settings: GraphSettings,
    /// At least 1.
    pub(crate) threads: usize,
    /// Ends the build early when it becomes true.
    pub(crate) stop: &'a Cancel,
}

/// Builds a graph over the first `rows` rows.
pub(crate) fn build(
    codes: &CodeMatrix,
    rows: usize,
    options: &BuildOptions<'_>,
) -> Result<RawGraph, BuildFailure> {
    let build = || {
        let hnsw = inserted(codes, rows, options)?;
        Ok(copied(&hnsw, rows, options.settings.m))
    };
    catch_unwind(AssertUnwindSafe(build)).unwrap_or(Err(BuildFailure::Panicked))
}

/// One minus the cosine of two rows of codes with their steps behind them, not below zero.
#[derive(Debug, Clone, Copy)]
struct CodeDistance(&'static Kernels);

impl Distance<i8> for CodeDistance {
    #[inline]
    fn eval(&self, left: &[i8], right: &[i8]) -> f32 {
        let Some(((left, left_step), (right, right_step))) =
            left.split_last_chunk().zip(right.split_last_chunk())
        else {
            return 1.0;
        };
        let steps = step(*left_step) * step(*right_step);
        (1.0 - self.0.dot_codes(left, right) as f32 * steps).max(0.0)
    }
}

fn step(bytes: [i8; STEP_BYTES]) -> f32 {
    f32::from_ne_bytes(bytes.map(i8::cast_unsigned))
}

type Built = Hnsw<'static, i8, CodeDistance>;

fn inserted(
    codes: &CodeMatrix,
    rows: usize,
    options: &BuildOptions<'_>,
) -> Result<Built, BuildFailure> {
    let GraphSettings {
        m, ef_construction, ..
    } = options.settings;
    let distance = CodeDistance(Kernels::detected());
    let hnsw = Hnsw::new(m, rows, MAX_LEVELS, ef_construction, distance);
    let next = AtomicUsize::new(0);
    // The first rows go in alone: until there is an entry, threads would not see each other's.
    insert_some(&hnsw, codes, &next, options.threads.min(rows), options.stop);
    std::thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| insert_some(&hnsw, codes, &next, rows, options.stop));
        }
    });
    if options.stop.is_cancelled() {
        return Err(BuildFailure::Stopped);
    }
    Ok(hnsw)
}

/// Inserts rows until `end` is reached.
fn insert_some(hnsw: &Built, codes: &CodeMatrix, next: &AtomicUsize, end: usize, stop: &Cancel) {
    let mut bytes = Vec::with_capacity(codes.stride() + STEP_BYTES);
    while !stop.is_cancelled() {
        let Ok(row) = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |row| {
            (row < end).then_some(row + 1)
        }) else {
            return;
        };
        bytes.clear();
        bytes.extend_from_slice(codes.row(row));
        bytes.extend_from_slice(&codes.step(row).to_ne_bytes().map(u8::cast_signed));
        hnsw.insert((&bytes, row));
    }
}

/// Copies the neighbours out. A point keeps leftovers above its own level; those are not edges.
fn copied(hnsw: &Built, rows: usize, m: usize) -> RawGraph {
    let points = hnsw.get_point_indexation();
    let top = match rows {
        0 => 0,
        _ => usize::from(points.get_max_level_observed()) + 1,
    };
    let mut raw = RawGraph::default();
    let mut levels_of_nodes = vec![0_u8; rows];
    for level in 0..top {
        for point in points.get_layer_iterator(level) {
            levels_of_nodes[point.get_origin_id()] = level as u8;
            raw.entry = point.get_origin_id() as u32;
        }
    }
    for level in 0..top {
        let width = if level == 0 { 2 * m } else { m };
        raw.levels.push(empty_level(&levels_of_nodes, level, width));
    }
    for level in 0..top {
        for point in points.get_layer_iterator(level) {
            let neighbours = point.get_neighborhood_id();
            for (height, neighbours) in neighbours.iter().enumerate().take(level + 1) {
                let on_level = neighbours
                    .iter()
                    .map(|neighbour| neighbour.d_id as u32)
                    .filter(|node| usize::from(levels_of_nodes[*node as usize]) >= height);
                raw.levels[height].set(point.get_origin_id() as u32, on_level);
            }
        }
    }
    raw
}

fn empty_level(levels_of_nodes: &[u8], level: usize, width: usize) -> RawLevel {
    let nodes = levels_of_nodes.iter().zip(0..);
    let nodes: Vec<u32> = nodes
        .filter(|(top, _)| usize::from(**top) >= level)
        .map(|(_, node)| node)
        .collect();
    let neighbours = vec![NO_ROW; nodes.len() * width];
    RawLevel {
        nodes,
        neighbours,
        width,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(rows: u32, is_stopped: bool) -> Result<RawGraph, BuildFailure> {
        let stop = Cancel::default();
        if is_stopped {
            stop.cancel();
        }
        let options = BuildOptions {
            settings: GraphSettings {
                m: 4,
                ef_construction: 32,
                ..GraphSettings::default()
            },
            threads: 2,
            stop: &stop,
        };
        build(
            &CodeMatrix::scattered(rows as usize, 8),
            rows as usize,
            &options,
        )
    }

    #[test]
    fn every_row_is_a_node_with_neighbours_on_its_own_levels() {
        let raw = built(600, false).unwrap();
        assert_eq!(raw.levels[0].nodes, (0..600).collect::<Vec<_>>());
        for level in &raw.levels {
            let named = level.neighbours.iter().filter(|node| **node != NO_ROW);
            assert!(named.clone().all(|node| level.nodes.contains(node)));
        }
        assert!(raw.levels.last().unwrap().nodes.contains(&raw.entry));
    }

    #[test]
    fn none_one_and_two_rows_are_graphs() {
        for rows in 0..3 {
            let raw = built(rows, false).unwrap();
            let nodes = raw.levels.first().map_or(0, |level| level.nodes.len());
            assert_eq!(nodes, rows as usize);
        }
    }

    #[test]
    fn a_build_that_is_asked_to_stop_stops() {
        assert_eq!(built(600, true).err(), Some(BuildFailure::Stopped));
    }
}
