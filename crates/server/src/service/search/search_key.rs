//! What a cursor belongs to.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, Weak};

use siamese_index::{Fusion, SearchOptions};

use super::{Choice, Grouping, Mode, QueryInput, Rerank, Search, SearchIn};
use crate::backend::Reader;

/// A search but for the page of it that is wanted and for how its hits are laid out.
#[derive(Debug, Clone)]
pub(super) struct SearchKey {
    /// A collection that is made again under the same name counts its documents anew.
    collection: Weak<Reader>,
    /// What the request called it: an alias may stand for another one later.
    called: Arc<str>,
    hash: u64,
}

impl PartialEq for SearchKey {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.collection.ptr_eq(&other.collection)
    }
}

impl SearchKey {
    pub(super) fn of(search: &SearchIn, hashing: &RandomState) -> Self {
        Self {
            collection: Arc::downgrade(&search.collection),
            called: Arc::clone(&search.called),
            hash: hashing.hash_one(&search.search),
        }
    }

    /// Whether the collection has been deleted.
    pub(super) fn is_gone(&self) -> bool {
        self.collection.strong_count() == 0
    }
}

impl SearchKey {
    /// Returns whether it is of the same search of what the same name stood for before: another generation, or
    /// another collection of an alias.
    pub(super) fn is_of_what_was_before(&self, other: &Self) -> bool {
        let is_same_search = self.hash == other.hash && self.called == other.called;
        is_same_search && !self.collection.ptr_eq(&other.collection)
    }
}

/// All that decides which hits there are and in which order. A new field does not compile before it is
/// said whether it is among them.
impl Hash for Search {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            query,
            mode,
            options,
            choice,
            rerank,
            top_k: _,
            offset: _,
            cursor: _,
            // Each generation has a reader of its own.
            generation: _,
            passages_per_hit: _,
            highlights: _,
            explain: _,
        } = self;
        let SearchOptions {
            min_score,
            filter,
            exact,
            ef,
            limit: _,
            exclude: _,
            facets: _,
            moment: _,
            skip: _,
        } = options;
        let Choice {
            diversity,
            group_by,
            auto_cut,
            max_diversity_candidates: _,
            max_group_candidates: _,
        } = choice;
        query.hash(state);
        mode.hash(state);
        (min_score.map(f32::to_bits), filter, exact, ef).hash(state);
        (diversity.map(f32::to_bits), group_by, auto_cut).hash(state);
        rerank.map(|Rerank { top_n }| top_n).hash(state);
    }
}

impl Hash for QueryInput {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Text(text) => text.hash(state),
            Self::Document(id) => id.hash(state),
            Self::Vector(vector) => {
                vector.len().hash(state);
                vector.iter().for_each(|value| value.to_bits().hash(state));
            }
            Self::Examples { positive, negative } => (positive, negative).hash(state),
        }
    }
}

impl Hash for Mode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        if let Self::Hybrid(fusion) = self {
            let alpha = match fusion {
                Fusion::ReciprocalRank => None,
                Fusion::Weighted { alpha } => Some(alpha.to_bits()),
            };
            alpha.hash(state);
        }
    }
}

impl Hash for Grouping {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { field, size } = self;
        (field, size).hash(state);
    }
}
