//! The best of all pairs that are alike.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use super::{AlikeOptions, Compared, MAX_NEIGHBOURS};
use crate::Error;
use crate::vectors::{Pair, PairSink};

/// A pair by how good it is: less is better.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Worse(Pair);

/// Takes pairs in and keeps the best.
pub(super) struct BestPairs<'a> {
    compared: &'a Compared<'a>,
    limit: usize,
    kept: Kept,
    total: u64,
}

enum Kept {
    /// The best of all, the worst of them on top.
    OfAll(BinaryHeap<Worse>),
    /// The best of every document.
    OfDocuments(Neighbours),
}

/// So many best pairs of every document, by its number.
struct Neighbours {
    top_k: usize,
    heaps: BTreeMap<u32, BinaryHeap<Worse>>,
    /// Pairs in all heaps.
    pairs: usize,
}

impl Eq for Worse {}

impl Ord for Worse {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = other.0.score.total_cmp(&self.0.score);
        by_score.then_with(|| self.places().cmp(&other.places()))
    }
}

impl PartialOrd for Worse {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Worse {
    /// Items are in the order in which they were stored.
    fn places(&self) -> (usize, usize) {
        (self.0.left, self.0.right)
    }
}

impl<'a> BestPairs<'a> {
    pub(super) fn new(compared: &'a Compared<'a>, options: &AlikeOptions) -> Self {
        let kept = match options.top_k_per_document {
            None => Kept::OfAll(BinaryHeap::new()),
            Some(top_k) => Kept::OfDocuments(Neighbours {
                top_k: top_k.get(),
                heaps: BTreeMap::new(),
                pairs: 0,
            }),
        };
        Self {
            compared,
            limit: options.limit,
            kept,
            total: 0,
        }
    }

    /// The best pairs, best first, and how many there were.
    ///
    /// # Errors
    /// [`Error::TooManyNeighbours`]
    pub(super) fn into_sorted(self) -> Result<(Vec<Pair>, u64), Error> {
        if self.is_full() {
            return Err(Error::TooManyNeighbours {
                max_neighbours: MAX_NEIGHBOURS,
            });
        }
        let (sorted, total) = match self.kept {
            Kept::OfAll(heap) => (heap.into_sorted_vec(), self.total),
            Kept::OfDocuments(Neighbours { heaps, .. }) => {
                let mut pairs: Vec<Worse> = heaps.into_values().flatten().collect();
                pairs.sort_unstable();
                // Kept by both of its documents.
                pairs.dedup_by_key(|pair| pair.places());
                let total = pairs.len() as u64;
                (pairs, total)
            }
        };
        let best = sorted.into_iter().take(self.limit);
        Ok((best.map(|Worse(pair)| pair).collect(), total))
    }
}

impl Neighbours {
    fn offer(&mut self, document: u32, pair: Worse) {
        let heap = self.heaps.entry(document).or_default();
        let before = heap.len();
        offer(heap, self.top_k, pair);
        self.pairs += heap.len() - before;
    }
}

impl PairSink for BestPairs<'_> {
    fn is_full(&self) -> bool {
        matches!(&self.kept, Kept::OfDocuments(kept) if kept.pairs > MAX_NEIGHBOURS)
    }

    fn floor(&self) -> f32 {
        match &self.kept {
            Kept::OfAll(heap) if heap.len() >= self.limit => {
                heap.peek().map_or(f32::INFINITY, |worst| worst.0.score)
            }
            _ => f32::NEG_INFINITY,
        }
    }

    fn take(&mut self, pairs: &[Pair], uncounted: u64) {
        self.total += uncounted + pairs.len() as u64;
        for pair in pairs {
            match &mut self.kept {
                Kept::OfAll(heap) => offer(heap, self.limit, Worse(*pair)),
                Kept::OfDocuments(neighbours) => {
                    let sides = [
                        self.compared.left.side(pair.left),
                        self.compared.right().side(pair.right),
                    ];
                    for side in sides {
                        neighbours.offer(side.document, Worse(*pair));
                    }
                }
            }
        }
    }
}

fn offer(heap: &mut BinaryHeap<Worse>, limit: usize, pair: Worse) {
    if heap.len() < limit {
        heap.push(pair);
    } else if let Some(mut worst) = heap.peek_mut()
        && pair < *worst
    {
        *worst = pair;
    }
}
