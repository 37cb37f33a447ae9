//! Searching by meaning, by words, or by both.

use std::borrow::Cow;
use std::ops::Range;

use siamese_index::{Fusion, Hit, Query, ScoredPassage, WordQuery};

use crate::backend::Reader;
use crate::error::ApiError;

/// Places of a hit that are marked.
const MAX_HIGHLIGHTS_PER_HIT: usize = 1000;

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) enum Mode {
    /// By vector alone.
    #[default]
    Semantic,
    /// By words alone; nothing is encoded.
    Lexical,
    /// By both.
    Hybrid(Fusion),
}

impl Mode {
    /// What the index is asked; only what it needs is made.
    ///
    /// # Errors
    /// What `vector` or `words` returns.
    pub(in crate::service) fn query(
        self,
        vector: impl FnOnce() -> Result<Vec<f32>, ApiError>,
        words: impl FnOnce() -> Result<WordQuery, ApiError>,
    ) -> Result<Query<'static>, ApiError> {
        Ok(match self {
            Self::Semantic => Query::Vector(Cow::Owned(vector()?)),
            Self::Lexical => Query::Words(Cow::Owned(words()?)),
            Self::Hybrid(fusion) => Query::Hybrid {
                vector: Cow::Owned(vector()?),
                words: Cow::Owned(words()?),
                fusion,
            },
        })
    }
}

/// For each hit its `limit` best passages; the first is the hit's own.
///
/// # Errors
/// When the index fails.
pub(super) fn best_passages(
    collection: &Reader,
    query: &Query<'_>,
    hits: &[&Hit],
    limit: usize,
) -> Result<Vec<Vec<ScoredPassage>>, ApiError> {
    let by_vector = |vector: &[f32], limit| {
        let best = |hit: &&Hit| collection.best_passages(hit, vector, limit);
        hits.iter().map(best).collect::<Result<Vec<_>, _>>()
    };
    Ok(match query {
        Query::Vector(vector) => by_vector(vector, limit)?,
        Query::Words(words) => collection.best_passages_by_words(hits, words, limit)?,
        Query::Hybrid { vector, .. } => {
            // The hit's own may be far down in the order of cosines.
            let mut passages = by_vector(vector, usize::MAX)?;
            for (hit, passages) in hits.iter().zip(&mut passages) {
                put_first(passages, hit);
                passages.truncate(limit);
            }
            passages
        }
    })
}

fn put_first(passages: &mut [ScoredPassage], hit: &Hit) {
    let own = passages.iter().position(|scored| scored.is_best_of(hit));
    if let Some(own) = own {
        passages[..=own].rotate_right(1);
    }
}

/// Where the words stand in a passage that begins at `start` of its document's text: bytes of that text,
/// from first to last.
pub(crate) fn highlights(words: &WordQuery, passage: &str, start: usize) -> Vec<Range<usize>> {
    let mut ranges = words.matches(passage);
    ranges.truncate(MAX_HIGHLIGHTS_PER_HIT);
    let shifted = ranges.into_iter();
    shifted
        .map(|range| start + range.start..start + range.end)
        .collect()
}
