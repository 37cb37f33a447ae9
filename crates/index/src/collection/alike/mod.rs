//! Comparing the documents of a collection with each other.
//!
//! Everything works on one published state, however long it takes. Scores are those of `cosine`, between
//! passages, or between documents by the means of their passages' vectors.

mod best_pairs;
mod clusters;
mod communities;
mod items;
mod map;
mod near_pairs;
mod nearest;
mod sides;

use std::num::NonZeroUsize;

use roaring::RoaringBitmap;

use self::best_pairs::BestPairs;
pub use self::clusters::{Cluster, ClusterForm, ClusterMember, ClusterOptions, Clusters};
use self::items::Items;
pub use self::map::{DocumentMap, MapOptions, MapPoint};
pub use self::nearest::document_vector;
pub use self::sides::{AlikeSide, AlikeSides};
use super::Reader;
use super::state::State;
use crate::filter::Filter;
use crate::memory::MemoryShare;
use crate::vectors::{AllPairs, HeldRow, Pair, PairSink, Values, alike_pairs};
use crate::{Cancel, Error, Progress, Workers};

/// Pairs that are kept while the neighbours of all documents are gathered; each takes up to 24 bytes.
const MAX_NEIGHBOURS: usize = 10_000_000;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AlikeScope {
    /// Documents as wholes, by the means of their passages' vectors.
    #[default]
    Documents,
    /// Every passage, so that a part of one document is found in another.
    Passages,
}

/// How pairs are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AlikeMode {
    /// Every two are compared.
    #[default]
    Exact,
    /// Each is compared with those that the graphs lead to. Some pairs are not found.
    Approximate,
}

/// Which documents are compared, and what is wanted of the pairs that are alike.
#[derive(Debug, Clone)]
pub struct AlikeOptions {
    /// The least score of a pair, -1 to 1.
    pub min_score: f32,
    /// What is compared.
    pub scope: AlikeScope,
    /// How pairs are looked for.
    pub mode: AlikeMode,
    /// Leave out documents that do not pass.
    pub filter: Option<Filter>,
    /// Compare the documents that pass the first with those that pass the other, instead of all with all.
    pub between: Option<(Filter, Filter)>,
    /// Only pairs that are among so many best ones of either document.
    pub top_k_per_document: Option<NonZeroUsize>,
    /// Pairs to return, the best ones.
    pub limit: usize,
    /// Threads that compare.
    pub workers: Workers,
}

/// The pairs that were found.
#[derive(Debug, Clone, PartialEq)]
pub struct Alike {
    /// Best first; equal scores in the order in which the documents were stored.
    pub pairs: Vec<AlikePair>,
    /// How many reach the threshold, returned or not; with `top_k_per_document` how many of them are left.
    pub total: u64,
    /// Documents that were compared.
    pub documents: u64,
}

/// Two documents that are alike, or two of their passages. [`AlikeSides`] reads who they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlikePair {
    /// Their cosine.
    pub score: f32,
    a: Side,
    b: Side,
    scope: AlikeScope,
}

/// By internal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Side {
    document: u32,
    passage: u32,
}

/// The documents of a comparison.
struct Sets {
    left: RoaringBitmap,
    /// Nothing when those of one set are compared with each other.
    right: Option<RoaringBitmap>,
}

impl Reader {
    /// Returns how many comparisons [`Self::alike`] would make; an upper bound where it is approximate.
    ///
    /// # Errors
    /// [`Error::FilterTooBroad`], or a store that fails.
    pub fn count_comparisons(&self, options: &AlikeOptions) -> Result<u64, Error> {
        let state = self.published.load().state.clone();
        let sets = self.sets(&state, &options.filter, &options.between)?;
        let count = |documents: &RoaringBitmap| match options.scope {
            AlikeScope::Documents => documents.len(),
            AlikeScope::Passages => state.metadata.passages_of(documents).len(),
        };
        let left = count(&sets.left);
        Ok(match &sets.right {
            Some(right) => left.saturating_mul(count(right)),
            None => left.saturating_mul(left.saturating_sub(1)) / 2,
        })
    }

    /// Finds the pairs of documents, or of passages of two documents, that are alike.
    ///
    /// # Errors
    /// [`Error::FilterTooBroad`], [`Error::TooManyNeighbours`], [`Error::Cancelled`], threads that cannot be
    /// started, or a store that fails.
    pub fn alike(
        &self,
        options: &AlikeOptions,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<Alike, Error> {
        let state = self.published.load().state.clone();
        let sets = self.sets(&state, &options.filter, &options.between)?;
        let rows = state.vectors.living();
        let items = |documents| self.items(&rows, documents, options.scope, cancel);
        let left = items(&sets.left)?;
        let right = sets.right.as_ref().map(items).transpose()?;
        drop(rows);
        let compared = Compared {
            left: &left,
            right: right.as_ref(),
        };
        // The record was asked above; from here on it is arithmetic on a state that nobody changes.
        let found = || self.alike_in(&state, &sets, &compared, options, cancel, progress);
        options.workers.compute(found)?
    }

    /// What is compared of some documents, out of the rows of a state. Vectors that segments do not hold are read into
    /// memory, for which there must be room.
    fn items<'a>(
        &self,
        rows: &[HeldRow<'a>],
        documents: &RoaringBitmap,
        scope: AlikeScope,
        cancel: &Cancel,
    ) -> Result<Items<'a>, Error> {
        let is_read = |row: &&HeldRow<'_>| {
            matches!(row.values, Values::Coded(_)) && documents.contains(row.document)
        };
        let vectors = rows.iter().filter(is_read).count();
        let bytes = vectors * self.dimensions * size_of::<f32>();
        let room = MemoryShare::reserved(&self.memory, bytes as u64)?;
        Items::of(
            rows,
            documents,
            scope,
            (&self.record_vectors(), room),
            cancel,
        )
    }

    fn alike_in(
        &self,
        state: &State,
        sets: &Sets,
        compared: &Compared<'_>,
        options: &AlikeOptions,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<Alike, Error> {
        let mut best = BestPairs::new(compared, options);
        match options.mode {
            AlikeMode::Exact => compared.all_pairs(options, cancel, progress, &mut best)?,
            AlikeMode::Approximate => {
                let found = sets.right.as_ref().unwrap_or(&sets.left);
                // Without a bitmap, no search intersects it with each segment.
                let is_all = found.len() == state.metadata.documents().len();
                let passages = (!is_all).then(|| state.metadata.passages_of(found));
                let near = near_pairs::Search {
                    compared,
                    options,
                    vectors: &state.vectors,
                    passages,
                    ef_search: self.settings().graph.ef_search,
                };
                best.take(&near.run(cancel, progress)?, 0);
            }
        }
        let (pairs, total) = best.into_sorted()?;
        let pairs = pairs.iter();
        Ok(Alike {
            pairs: pairs
                .map(|pair| compared.described(pair, options.scope))
                .collect(),
            total,
            documents: sets.documents(),
        })
    }

    fn sets(
        &self,
        state: &State,
        filter: &Option<Filter>,
        between: &Option<(Filter, Filter)>,
    ) -> Result<Sets, Error> {
        let passing = |filter: &Filter| self.passing(&state.metadata, filter);
        let all = match filter {
            Some(filter) => passing(filter)?,
            None => state.metadata.documents().clone(),
        };
        Ok(match between {
            None => Sets {
                left: all,
                right: None,
            },
            Some((within, against)) => Sets {
                left: passing(within)? & &all,
                right: Some(passing(against)? & all),
            },
        })
    }
}

impl Sets {
    /// How many documents are in either.
    fn documents(&self) -> u64 {
        match &self.right {
            Some(right) => self.left.union_len(right),
            None => self.left.len(),
        }
    }
}

/// Items of one set that are compared with each other, or with those of another set.
struct Compared<'a> {
    left: &'a Items<'a>,
    right: Option<&'a Items<'a>>,
}

impl Compared<'_> {
    fn right(&self) -> &Items<'_> {
        self.right.unwrap_or(self.left)
    }

    /// Returns whether two items may be a pair: not of one document, and once where both are in both sets.
    fn admits(&self, left: usize, right: usize) -> bool {
        let (a, b) = (self.left.side(left), self.right().side(right));
        let is_met_again = || {
            self.right.is_some()
                && a.passage > b.passage
                && self.left.holds(b.passage)
                && self.right().holds(a.passage)
        };
        a.document != b.document && !is_met_again()
    }

    fn all_pairs(
        &self,
        options: &AlikeOptions,
        cancel: &Cancel,
        progress: &Progress,
        sink: &mut impl PairSink,
    ) -> Result<(), Error> {
        let pairs = AllPairs {
            left: self.left.vectors(),
            right: self.right.map(Items::vectors),
            min_score: options.min_score,
            admits: &|left, right| self.admits(left, right),
            workers: options.workers,
        };
        alike_pairs(&pairs, cancel, progress, sink)
    }

    fn described(&self, pair: &Pair, scope: AlikeScope) -> AlikePair {
        let (a, b) = (self.left.side(pair.left), self.right().side(pair.right));
        let (a, b) = if a.document <= b.document {
            (a, b)
        } else {
            (b, a)
        };
        AlikePair {
            score: pair.score,
            a,
            b,
            scope,
        }
    }
}
