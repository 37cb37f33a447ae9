//! A graph while several threads add nodes to it.
//!
//! Neighbours are read without locks and may change between two reads; a walk only takes another
//! way then. Who changes the neighbours of a node holds its lock.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::graph::{MAX_LEVELS, NO_ROW, RawGraph, RawLevel};

/// Nodes share locks; two threads seldom want the same one of so many.
const LOCKS: usize = 1024;

/// Where a walk begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) node: u32,
    /// Its top level.
    pub(super) level: usize,
}

/// Room for all nodes, of which some are in the graph already.
#[derive(Debug)]
pub(super) struct GrowingGraph {
    m: usize,
    /// Top level of each node.
    tops: Vec<u8>,
    /// `2 * m` places for each node.
    bottom: Vec<AtomicU32>,
    /// `m` places for each node and level above the bottom.
    upper: Vec<AtomicU32>,
    /// Where a node's places in `upper` begin.
    upper_starts: Vec<usize>,
    locks: Vec<Mutex<()>>,
    entry: Mutex<Entry>,
}

impl GrowingGraph {
    /// A graph of the nodes of `seed`, which are the first ones, with room for `nodes` in all.
    pub(super) fn new(seed: &RawGraph, nodes: usize, m: usize) -> Self {
        let mut tops: Vec<u8> = (0..nodes).map(|node| drawn_level(node, m)).collect();
        let seeded = seed.levels.first().map_or(0, |bottom| bottom.nodes.len());
        tops[..seeded].fill(0);
        for (level, raw) in seed.levels.iter().enumerate() {
            raw.nodes
                .iter()
                .for_each(|node| tops[*node as usize] = level as u8);
        }
        let mut end = 0;
        let upper_starts = tops.iter().map(|top| {
            let start = end;
            end += usize::from(*top) * m;
            start
        });
        let upper_starts = upper_starts.collect();
        let entry = Entry {
            node: seed.entry,
            level: seed.levels.len().saturating_sub(1),
        };
        let graph = Self {
            m,
            tops,
            bottom: empty(nodes * 2 * m),
            upper: empty(end),
            upper_starts,
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            entry: Mutex::new(entry),
        };
        for (level, raw) in seed.levels.iter().enumerate() {
            for (place, node) in raw.nodes.iter().enumerate() {
                let neighbours: Vec<u32> = raw.of(place).collect();
                graph.set(*node, level, &neighbours);
            }
        }
        graph
    }

    pub(super) fn top(&self, node: u32) -> usize {
        usize::from(self.tops[node as usize])
    }

    pub(super) fn entry(&self) -> Entry {
        *self.entry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins walks at a node, if it is on a higher level than the entry.
    pub(super) fn raise_entry(&self, node: u32) {
        let mut entry = self.entry.lock().unwrap_or_else(PoisonError::into_inner);
        let level = self.top(node);
        if level > entry.level {
            *entry = Entry { node, level };
        }
    }

    /// Neighbours of a node on one of its levels.
    #[inline]
    pub(super) fn neighbours(&self, node: u32, level: usize) -> impl Iterator<Item = u32> + '_ {
        let places = self.places(node, level).iter();
        let neighbours = places.map(|place| place.load(Ordering::Relaxed));
        neighbours.take_while(|neighbour| *neighbour != NO_ROW)
    }

    /// Places for neighbours on a level.
    pub(super) fn width(&self, level: usize) -> usize {
        if level == 0 { 2 * self.m } else { self.m }
    }

    /// The right to change a node's neighbours.
    pub(super) fn lock(&self, node: u32) -> MutexGuard<'_, ()> {
        let lock = &self.locks[node as usize % LOCKS];
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a node's neighbours, at most as many as there are places. The caller holds its lock.
    pub(super) fn set(&self, node: u32, level: usize, neighbours: &[u32]) {
        let filled = neighbours.iter().copied().chain(std::iter::repeat(NO_ROW));
        for (place, neighbour) in self.places(node, level).iter().zip(filled) {
            place.store(neighbour, Ordering::Relaxed);
        }
    }

    /// The finished graph.
    pub(super) fn into_raw(self) -> RawGraph {
        let entry = self.entry();
        let levels = 0..=entry.level;
        RawGraph {
            levels: levels.map(|level| self.raw_level(level)).collect(),
            entry: entry.node,
        }
    }

    fn raw_level(&self, level: usize) -> RawLevel {
        let nodes = (0..self.tops.len() as u32).filter(|node| self.top(*node) >= level);
        let nodes: Vec<u32> = nodes.collect();
        let places = nodes.iter().flat_map(|node| self.places(*node, level));
        let neighbours = places.map(|place| place.load(Ordering::Relaxed)).collect();
        RawLevel {
            nodes,
            neighbours,
            width: self.width(level),
        }
    }

    #[inline]
    fn places(&self, node: u32, level: usize) -> &[AtomicU32] {
        let width = self.width(level);
        match level {
            0 => &self.bottom[node as usize * width..][..width],
            _ => &self.upper[self.upper_starts[node as usize] + (level - 1) * width..][..width],
        }
    }
}

fn empty(places: usize) -> Vec<AtomicU32> {
    (0..places).map(|_| AtomicU32::new(NO_ROW)).collect()
}

/// The top level of a node: each level holds a share of `1 / m` of the one below. The numbers are
/// the same in every run (splitmix64).
fn drawn_level(node: usize, m: usize) -> u8 {
    let mut bits = (node as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let uniform = ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
    let level = -(uniform.max(f64::MIN_POSITIVE)).ln() / (m as f64).ln();
    (level as usize).min(MAX_LEVELS - 1) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_thin_out_by_m() {
        let on = |level| {
            (0..100_000)
                .filter(|node| drawn_level(*node, 16) >= level)
                .count()
        };
        assert!((5500..7000).contains(&on(1)), "{}", on(1));
        assert!((300..500).contains(&on(2)), "{}", on(2));
    }

    #[test]
    fn a_graph_that_did_not_grow_is_its_seed() {
        let level = |nodes: &[u32], neighbours: &[u32], width| RawLevel {
            nodes: nodes.to_vec(),
            neighbours: neighbours.to_vec(),
            width,
        };
        let seed = || RawGraph {
            levels: vec![
                level(
                    &[0, 1],
                    &[1, NO_ROW, NO_ROW, NO_ROW, 0, NO_ROW, NO_ROW, NO_ROW],
                    4,
                ),
                level(&[1], &[NO_ROW, NO_ROW], 2),
            ],
            entry: 1,
        };
        let raw = GrowingGraph::new(&seed(), 2, 2).into_raw();
        assert_eq!(format!("{raw:?}"), format!("{:?}", seed()));
    }
}
