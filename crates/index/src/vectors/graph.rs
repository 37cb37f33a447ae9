//! A proximity graph as flat arrays, in an order that is kind to caches.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Fills up the places of a row that has fewer neighbours than it may have.
pub(crate) const NO_ROW: u32 = u32::MAX;

/// Levels of a graph, the bottom one included.
pub(crate) const MAX_LEVELS: usize = 16;

/// A graph as a builder leaves it: neighbours are named by the node's number on every level.
#[derive(Debug, Default)]
pub(crate) struct RawGraph {
    /// Bottom first; the bottom holds all nodes in order.
    pub(crate) levels: Vec<RawLevel>,
    /// A node of the top level.
    pub(crate) entry: u32,
}

/// The nodes of one level and their neighbours.
#[derive(Debug, Default)]
pub(crate) struct RawLevel {
    pub(crate) nodes: Vec<u32>,
    /// `width` places for each of `nodes`, filled up with [`NO_ROW`].
    pub(crate) neighbours: Vec<u32>,
    pub(crate) width: usize,
}

/// A graph whose rows are numbered anew on each level. Row 0 is where a walk begins, on every
/// level; rows that are near in the graph have near numbers.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// Bottom first.
    pub(crate) levels: Vec<Level>,
    /// Rows of the bottom that cannot be reached from row 0; walks begin at these as well.
    pub(crate) islands: Vec<u32>,
}

/// One level of a graph.
#[derive(Debug, Default)]
pub(crate) struct Level {
    /// For each row its row on the level below; on the bottom, the node's number.
    pub(crate) below: Vec<u32>,
    /// As many places for each row as the builder had, filled up with [`NO_ROW`].
    pub(crate) neighbours: Vec<u32>,
}

impl Graph {
    /// Orders the rows of each level by neighbourhoods, and finds what cannot be reached.
    pub(crate) fn ordered(mut raw: RawGraph) -> Self {
        let nodes = raw.levels.first().map_or(0, |bottom| bottom.nodes.len());
        let mut graph = Self::default();
        // Row of each node on the level below; on the bottom, the node itself.
        let mut rows_below: Vec<u32> = (0..nodes as u32).collect();
        for (height, raw_level) in raw.levels.iter_mut().enumerate() {
            let order = Order::by_neighbourhood(raw_level, raw.entry, nodes);
            if height == 0 {
                graph.islands = order.islands;
            }
            let below = order.nodes.iter().map(|node| rows_below[*node as usize]);
            let below = below.collect();
            let neighbours = raw_level.renumbered(&order.nodes, &order.rows);
            rows_below = order.rows;
            graph.levels.push(Level { below, neighbours });
        }
        graph
    }
}

impl RawLevel {
    /// Neighbours of the node with this index.
    pub(crate) fn of(&self, place: usize) -> impl Iterator<Item = u32> + '_ {
        let row = &self.neighbours[place * self.width..][..self.width];
        row.iter().copied().take_while(|node| *node != NO_ROW)
    }

    /// Sets a node's neighbours; those beyond `width` are left out. `nodes` must be sorted.
    pub(crate) fn set(&mut self, node: u32, neighbours: impl Iterator<Item = u32>) {
        if let Ok(place) = self.nodes.binary_search(&node) {
            let row = &mut self.neighbours[place * self.width..][..self.width];
            for (to, from) in row.iter_mut().zip(neighbours) {
                *to = from;
            }
        }
    }

    /// The neighbours in a new order and by new numbers.
    fn renumbered(&self, nodes: &[u32], rows: &[u32]) -> Vec<u32> {
        let mut places = vec![0; rows.len()];
        for (place, node) in self.nodes.iter().enumerate() {
            places[*node as usize] = place;
        }
        let mut neighbours = vec![NO_ROW; nodes.len() * self.width];
        for (row, node) in neighbours.chunks_exact_mut(self.width).zip(nodes) {
            for (to, from) in row.iter_mut().zip(self.of(places[*node as usize])) {
                *to = rows[from as usize];
            }
        }
        neighbours
    }
}

/// Nodes whose neighbours come next.
const WINDOW: usize = 16;

/// A new order of a level's nodes: what a walk asks for together stands together, in few pages of memory.
struct Order {
    /// Nodes by row.
    nodes: Vec<u32>,
    /// Rows by node; [`NO_ROW`] for nodes that the level does not hold.
    rows: Vec<u32>,
    /// Rows at which a new part began that the first cannot reach.
    islands: Vec<u32>,
    /// How many of the last [`WINDOW`] nodes have each node as a neighbour.
    knowers: Vec<u32>,
}

impl Order {
    fn by_neighbourhood(level: &mut RawLevel, entry: u32, nodes: usize) -> Self {
        let mut places = vec![NO_ROW; nodes];
        for (place, node) in level.nodes.iter().enumerate() {
            places[*node as usize] = place as u32;
        }
        let mut order = Self {
            nodes: Vec::with_capacity(level.nodes.len()),
            rows: vec![NO_ROW; nodes],
            islands: Vec::new(),
            knowers: vec![0; nodes],
        };
        order.reach(entry, level, &places);
        for place in 0..level.nodes.len() {
            let node = level.nodes[place];
            if order.rows[node as usize] != NO_ROW {
                continue;
            }
            if !order.attach(place, level, &places) {
                order.islands.push(order.nodes.len() as u32);
            }
            order.reach(node, level, &places);
        }
        order
    }

    /// Makes a node the neighbour of one of its own neighbours that has been reached and has a
    /// place left. Returns whether there was one.
    fn attach(&self, place: usize, level: &mut RawLevel, places: &[u32]) -> bool {
        let node = level.nodes[place];
        let neighbours: Vec<u32> = level.of(place).collect();
        for neighbour in neighbours {
            let other = places[neighbour as usize] as usize;
            let used = level.of(other).count();
            if self.rows[neighbour as usize] != NO_ROW && used < level.width {
                level.neighbours[other * level.width + used] = node;
                return true;
            }
        }
        false
    }

    /// Numbers everything that can be reached from a node and has no number yet. Next is always the one that most of
    /// the last few know (Gorder, Wei et al., SIGMOD 2016).
    fn reach(&mut self, start: u32, level: &RawLevel, places: &[u32]) {
        let first = self.nodes.len();
        // Some stand there several times; the entry with the most knowers is never less than what is true.
        let mut waiting = BinaryHeap::from([(0, Reverse(start))]);
        while let Some((knowers, Reverse(node))) = waiting.pop() {
            let now = self.knowers[node as usize];
            if self.rows[node as usize] != NO_ROW || now > knowers {
                continue;
            }
            if now < knowers {
                waiting.push((now, Reverse(node)));
                continue;
            }
            self.number(node);
            for neighbour in level.of(places[node as usize] as usize) {
                let knowers = &mut self.knowers[neighbour as usize];
                *knowers += 1;
                if self.rows[neighbour as usize] == NO_ROW {
                    waiting.push((*knowers, Reverse(neighbour)));
                }
            }
            let before = self.nodes[first..].len().checked_sub(WINDOW + 1);
            if let Some(place) = before {
                let gone = places[self.nodes[first + place] as usize];
                for neighbour in level.of(gone as usize) {
                    self.knowers[neighbour as usize] -= 1;
                }
            }
        }
    }

    fn number(&mut self, node: u32) {
        self.rows[node as usize] = self.nodes.len() as u32;
        self.nodes.push(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(nodes: &[u32], neighbours: &[[u32; 2]]) -> RawLevel {
        RawLevel {
            nodes: nodes.to_vec(),
            neighbours: neighbours.concat(),
            width: 2,
        }
    }

    #[test]
    fn a_walk_begins_at_row_0_on_every_level_and_islands_are_known() {
        // 2 - 0 - 3 hang together, 1 and 4 do not.
        let bottom = level(
            &[0, 1, 2, 3, 4],
            &[[2, 3], [4, NO_ROW], [0, NO_ROW], [0, NO_ROW], [1, NO_ROW]],
        );
        let top = level(&[0, 3], &[[3, NO_ROW], [0, NO_ROW]]);
        let graph = Graph::ordered(RawGraph {
            levels: vec![bottom, top],
            entry: 3,
        });
        assert_eq!(graph.levels[0].below, [3, 0, 2, 1, 4]);
        assert_eq!(graph.levels[0].neighbours[..4], [1, NO_ROW, 2, 0]);
        assert_eq!(graph.levels[1].below, [0, 1]);
        assert_eq!(graph.levels[1].neighbours, [1, NO_ROW, 0, NO_ROW]);
        assert_eq!(graph.islands, [3]);
    }

    #[test]
    fn what_points_into_the_graph_is_made_reachable_where_there_is_room() {
        // 0 and 1 know each other, 2 knows 0, which has a place left; 3 knows 1, which has none.
        let bottom = level(
            &[0, 1, 2, 3],
            &[[1, NO_ROW], [0, 0], [0, NO_ROW], [1, NO_ROW]],
        );
        let graph = Graph::ordered(RawGraph {
            levels: vec![bottom],
            entry: 0,
        });
        assert_eq!(graph.levels[0].below, [0, 1, 2, 3]);
        assert_eq!(graph.levels[0].neighbours[..2], [1, 2]);
        assert_eq!(graph.islands, [3]);
    }

    #[test]
    fn an_empty_graph_has_no_rows() {
        assert!(Graph::ordered(RawGraph::default()).levels.is_empty());
    }
}
