//! Pairs of texts that belong together, as a collection knows them: what a model can learn from.
//!
//! [`plan()`] looks at metadata and feedback and chooses pairs by ids; texts are read when a pair is written.

mod gathered;
mod line;
mod plan;

pub(crate) use line::PairLine;
pub(crate) use plan::{PairPlan, plan};
use siamese_index::FieldPath;

/// Negatives of one pair; `siamese train` reads no more.
const MAX_NEGATIVES: usize = 16;

/// Where pairs come from, and how many there may be.
#[derive(Debug, Clone)]
pub(crate) struct PairSources {
    /// Two documents with the same value of this field belong together.
    pub(crate) same: Option<FieldPath>,
    /// A document belongs to the one whose id stands in this field.
    pub(crate) refers: Option<FieldPath>,
    /// A query and a document that was useful for it belong together.
    pub(crate) feedback: bool,
    pub(crate) max_pairs: usize,
    /// Of one value of a field, of documents that refer to the same, and of one query.
    pub(crate) max_pairs_per_value: usize,
    /// The same seed chooses the same pairs of the same documents, in the same order.
    pub(crate) seed: u64,
}

/// Which of the sources a pair is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PairSource {
    Same,
    Refers,
    Feedback,
}

impl PairSource {
    /// Returns what it is called in a line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Refers => "refers",
            Self::Feedback => "feedback",
        }
    }
}
