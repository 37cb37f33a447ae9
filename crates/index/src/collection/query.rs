//! What a search looks for.

use std::borrow::Cow;

use crate::Error;
use crate::document::check_vector;
use crate::lexical::WordQuery;

/// A query: by meaning, by words, or by both.
#[derive(Debug, Clone)]
pub enum Query<'a> {
    /// Documents near this vector, which may have any length but 0.
    Vector(Cow<'a, [f32]>),
    /// Documents that have one of these words, ranked by BM25.
    Words(Cow<'a, WordQuery>),
    /// The same documents as by the vector alone, in an order that both sides decide.
    Hybrid {
        /// As in [`Query::Vector`].
        vector: Cow<'a, [f32]>,
        /// As in [`Query::Words`].
        words: Cow<'a, WordQuery>,
        /// How the sides become one order.
        fusion: Fusion,
    },
}

/// How two rankings become one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fusion {
    /// Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): the sum of `1 / (60 + rank)`
    /// over the sides that have the document among their best.
    ReciprocalRank,
    /// `alpha` times the cosine plus `1 - alpha` times the BM25 score, each scaled to 0 to 1 over
    /// all documents that either side has among its best.
    Weighted {
        /// Weight of the semantic side, 0 to 1.
        alpha: f32,
    },
}

impl<'a> From<&'a [f32]> for Query<'a> {
    fn from(vector: &'a [f32]) -> Self {
        Self::Vector(Cow::Borrowed(vector))
    }
}

impl<'a> From<&'a Vec<f32>> for Query<'a> {
    fn from(vector: &'a Vec<f32>) -> Self {
        vector.as_slice().into()
    }
}

impl<'a, const N: usize> From<&'a [f32; N]> for Query<'a> {
    fn from(vector: &'a [f32; N]) -> Self {
        vector.as_slice().into()
    }
}

impl<'a> From<&'a WordQuery> for Query<'a> {
    fn from(words: &'a WordQuery) -> Self {
        Self::Words(Cow::Borrowed(words))
    }
}

impl<'a> From<&'a Query<'_>> for Query<'a> {
    fn from(query: &'a Query<'_>) -> Self {
        match query {
            Query::Vector(vector) => Self::Vector(Cow::Borrowed(vector)),
            Query::Words(words) => Self::Words(Cow::Borrowed(words)),
            Query::Hybrid {
                vector,
                words,
                fusion,
            } => Self::hybrid(vector, words, *fusion),
        }
    }
}

impl<'a> Query<'a> {
    /// By both sides, borrowed.
    pub fn hybrid(vector: &'a [f32], words: &'a WordQuery, fusion: Fusion) -> Self {
        Self::Hybrid {
            vector: Cow::Borrowed(vector),
            words: Cow::Borrowed(words),
            fusion,
        }
    }

    pub(super) fn has_words(&self) -> bool {
        matches!(self, Self::Words(_) | Self::Hybrid { .. })
    }

    /// Refuses a vector that no vector of these dimensions can be compared with.
    ///
    /// # Errors
    /// What is wrong with its vector.
    pub fn check(&self, dimensions: usize) -> Result<(), Error> {
        match self {
            Self::Vector(vector) | Self::Hybrid { vector, .. } => check_vector(vector, dimensions),
            Self::Words(_) => Ok(()),
        }
    }
}
