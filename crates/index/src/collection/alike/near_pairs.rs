//! Pairs that the graphs lead to: for each item, those that a search with its vector finds.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use roaring::RoaringBitmap;

use super::{AlikeOptions, AlikeScope, Compared, MAX_NEIGHBOURS};
use crate::vectors::{Candidate, NoVectors, Pair, Scan, VectorSpace, cosine};
use crate::{Cancel, Error, Progress};

/// Neighbours that are looked for at first unless the options say how many are wanted of each document. Copies
/// of one text push others out, so there are some to spare.
const NEIGHBOURS: usize = 32;
/// Where all of them are alike there may be more: so many times as many are looked for, up to a limit. Of a text
/// that is there ten thousand times not everything is wanted that it is alike to.
const WIDENING: usize = 4;
const MAX_WIDENED_NEIGHBOURS: usize = NEIGHBOURS * WIDENING * WIDENING;
/// Items that a thread takes at once.
const STEP: usize = 64;

/// A comparison by searches.
pub(super) struct Search<'a> {
    pub(super) compared: &'a Compared<'a>,
    pub(super) options: &'a AlikeOptions,
    pub(super) vectors: &'a VectorSpace,
    /// Those that may be found; `None` for all.
    pub(super) passages: Option<RoaringBitmap>,
    /// As searches of the collection have it.
    pub(super) ef_search: usize,
}

/// What the searches of all threads have found; most pairs from both of their sides.
#[derive(Debug, Default)]
struct Found {
    /// Only threads that compare ever wait for it.
    pairs: Mutex<Vec<Pair>>,
    count: AtomicUsize,
}

impl Search<'_> {
    /// Every pair that was found, once.
    pub(super) fn run(&self, cancel: &Cancel, progress: &Progress) -> Result<Vec<Pair>, Error> {
        let items = self.compared.left.len();
        progress.set_total(items as u64);
        let next = AtomicUsize::new(0);
        let found = Found::default();
        self.options.workers.share(|| {
            loop {
                let first = next.fetch_add(STEP, Ordering::Relaxed);
                if first >= items || cancel.is_cancelled() || found.is_full() {
                    return;
                }
                let last = items.min(first + STEP);
                let pairs: Vec<Pair> = (first..last)
                    .flat_map(|item| self.near(item, &found))
                    .collect();
                found.add(&pairs);
                progress.add((last - first) as u64);
            }
        })?;
        cancel.check()?;
        found.into_distinct()
    }

    /// The pairs of one item.
    fn near(&self, item: usize, found: &Found) -> Vec<Pair> {
        let top_k = self.options.top_k_per_document;
        let mut neighbours = top_k.map_or(NEIGHBOURS, NonZeroUsize::get);
        loop {
            let best = self.nearest(item, neighbours);
            let last = best.last();
            // As far as that is known: what one document is to another is the score of their means.
            let may_be_more = best.len() > neighbours
                && last.is_some_and(|last| last.score >= self.options.min_score);
            let widens = may_be_more
                && top_k.is_none()
                && neighbours < MAX_WIDENED_NEIGHBOURS
                && !found.is_half_full();
            if !widens {
                let pairs = best.iter();
                return pairs
                    .filter_map(|candidate| self.pair(item, candidate))
                    .collect();
            }
            neighbours *= WIDENING;
        }
    }

    fn nearest(&self, item: usize, neighbours: usize) -> Vec<Candidate> {
        // Itself is the nearest.
        let limit = neighbours + 1;
        let scan = Scan {
            query: self.compared.left.vector(item),
            limit,
            min_score: None,
            collects_reaching: false,
            allowed: self.passages.as_ref(),
            exact: false,
            ef: self.ef_search.max(limit),
            widens: false,
        };
        // What is found is scored again, and threads that compare must not hold what others wait for.
        let Ok(scanned) = self.vectors.search(&scan, &NoVectors);
        self.options.workers.give_way();
        scanned.best
    }

    /// Scored as the exact comparison does it.
    fn pair(&self, item: usize, candidate: &Candidate) -> Option<Pair> {
        let right = self.compared.right();
        let other = match self.options.scope {
            AlikeScope::Documents => right.of_document(candidate.document),
            AlikeScope::Passages => right.of_passage(candidate.passage),
        }?;
        // Of one set, the same pair from both sides.
        let (left, place) = match self.compared.right {
            None => (item.min(other), item.max(other)),
            Some(_) => (item, other),
        };
        if !self.compared.admits(left, place) {
            return None;
        }
        let score = cosine(self.compared.left.vector(left), right.vector(place));
        (score >= self.options.min_score).then_some(Pair {
            left,
            right: place,
            score,
        })
    }
}

impl Found {
    fn add(&self, pairs: &[Pair]) {
        let mut found = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        found.extend_from_slice(pairs);
        self.count.store(found.len(), Ordering::Relaxed);
    }

    fn is_full(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 2 * MAX_NEIGHBOURS
    }

    /// Returns whether there may be no room left for all pairs of texts that have very many.
    fn is_half_full(&self) -> bool {
        self.count.load(Ordering::Relaxed) > MAX_NEIGHBOURS
    }

    /// Every pair once.
    fn into_distinct(self) -> Result<Vec<Pair>, Error> {
        if self.is_full() {
            return Err(Error::TooManyNeighbours {
                max_neighbours: MAX_NEIGHBOURS,
            });
        }
        let pairs = self.pairs.into_inner();
        let mut pairs = pairs.unwrap_or_else(PoisonError::into_inner);
        pairs.sort_unstable_by_key(|pair| (pair.left, pair.right));
        pairs.dedup_by_key(|pair| (pair.left, pair.right));
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_that_are_found_from_both_sides_count_once_and_no_more_are_kept_than_may_be() {
        let pair = |left, right| Pair {
            left,
            right,
            score: 0.5,
        };
        let found = Found::default();
        found.add(&[pair(1, 2), pair(0, 2)]);
        found.add(&[pair(1, 2)]);
        assert_eq!(found.into_distinct().unwrap(), [pair(0, 2), pair(1, 2)]);
        let found = Found::default();
        found.count.store(2 * MAX_NEIGHBOURS + 1, Ordering::Relaxed);
        let full = found.into_distinct();
        assert!(matches!(full, Err(Error::TooManyNeighbours { .. })));
    }
}
