//! Pairs that the graphs lead to: for each item, those that a search with its vector finds.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use roaring::RoaringBitmap;

use super::{AlikeOptions, AlikeScope, Compared, MAX_NEIGHBOURS};
use crate::vectors::{Candidate, Pair, Scan, VectorSpace, cosine};
use crate::{Cancel, Error, Progress};

/// Neighbours that are looked for unless the options say how many are wanted of each document. Copies of
/// one text push others out, so there are some to spare.
const NEIGHBOURS: usize = 32;
/// Items that a thread takes at once.
const STEP: usize = 64;

/// A comparison by searches.
pub(super) struct Search<'a> {
    pub(super) compared: &'a Compared<'a>,
    pub(super) options: &'a AlikeOptions,
    pub(super) vectors: &'a VectorSpace,
    /// Those that may be found.
    pub(super) passages: RoaringBitmap,
    /// As searches of the collection have it.
    pub(super) ef_search: usize,
}

impl Search<'_> {
    /// Every pair that was found, once.
    pub(super) fn run(&self, cancel: &Cancel, progress: &Progress) -> Result<Vec<Pair>, Error> {
        let items = self.compared.left.len();
        progress.set_total(items as u64);
        let next = AtomicUsize::new(0);
        let found: Mutex<Vec<Pair>> = Mutex::default();
        let is_full = AtomicBool::new(false);
        let work = || {
            loop {
                let first = next.fetch_add(STEP, Ordering::Relaxed);
                if first >= items || cancel.is_cancelled() || is_full.load(Ordering::Relaxed) {
                    return;
                }
                let last = items.min(first + STEP);
                let pairs: Vec<Pair> = (first..last).flat_map(|item| self.near(item)).collect();
                found
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(pairs);
                progress.add((last - first) as u64);
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.options.threads.get() {
                thread::Builder::new().spawn_scoped(scope, work)?;
            }
            work();
            Ok::<_, Error>(())
        })?;
        cancel.check()?;
        if is_full.into_inner() {
            return Err(Error::TooManyNeighbours {
                max_neighbours: MAX_NEIGHBOURS,
            });
        }
        let mut pairs: Vec<Pair> = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Found from both of its sides.
        pairs.sort_unstable_by_key(|pair| (pair.left, pair.right));
        pairs.dedup_by_key(|pair| (pair.left, pair.right));
        Ok(pairs)
    }

    fn neighbours(&self) -> usize {
        let top_k = self.options.top_k_per_document;
        top_k.map_or(NEIGHBOURS, std::num::NonZeroUsize::get)
    }

    /// The pairs of one item.
    fn near(&self, item: usize) -> Vec<Pair> {
        // Itself is the nearest.
        let limit = self.neighbours() + 1;
        let scanned = self.vectors.search(&Scan {
            query: self.compared.left.vector(item),
            limit,
            min_score: None,
            allowed: Some(&self.passages),
            exact: false,
            ef: self.ef_search.max(limit),
            widens: false,
        });
        let found = scanned.best.iter();
        found
            .filter_map(|candidate| self.pair(item, candidate))
            .collect()
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
