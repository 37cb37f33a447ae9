//! What a search asks for.

use crate::Error;
use crate::document::check_vector;
use crate::lexical::WordQuery;

/// A question: by meaning, by words, or by both.
#[derive(Debug, Clone, Copy)]
pub enum Question<'a> {
    /// Documents near this vector, which may have any length but 0.
    Vector(&'a [f32]),
    /// Documents that have one of these words, ranked by BM25.
    Words(&'a WordQuery),
    /// The same documents as by the vector alone, in an order that both sides decide.
    Both {
        /// As in [`Question::Vector`].
        vector: &'a [f32],
        /// As in [`Question::Words`].
        words: &'a WordQuery,
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

impl<'a> From<&'a [f32]> for Question<'a> {
    fn from(vector: &'a [f32]) -> Self {
        Self::Vector(vector)
    }
}

impl<'a> From<&'a Vec<f32>> for Question<'a> {
    fn from(vector: &'a Vec<f32>) -> Self {
        Self::Vector(vector)
    }
}

impl<'a, const N: usize> From<&'a [f32; N]> for Question<'a> {
    fn from(vector: &'a [f32; N]) -> Self {
        Self::Vector(vector)
    }
}

impl<'a> From<&'a WordQuery> for Question<'a> {
    fn from(words: &'a WordQuery) -> Self {
        Self::Words(words)
    }
}

impl Question<'_> {
    pub(super) fn has_words(&self) -> bool {
        matches!(self, Self::Words(_) | Self::Both { .. })
    }

    /// Refuses a vector that no vector of these dimensions can be compared with.
    pub(super) fn check(&self, dimensions: usize) -> Result<(), Error> {
        match self {
            Self::Vector(vector) | Self::Both { vector, .. } => check_vector(vector, dimensions),
            Self::Words(_) => Ok(()),
        }
    }
}
