//! What an index that is measured holds of vectors, as an option.

use siamese_index::VectorPrecision;

/// As the `index.precision` of a collection.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum IndexPrecision {
    /// The vectors, and codes of them
    Full,
    /// Codes alone; the vectors of hits are read from elsewhere
    Compact,
}

impl From<IndexPrecision> for VectorPrecision {
    fn from(precision: IndexPrecision) -> Self {
        match precision {
            IndexPrecision::Full => Self::Full,
            IndexPrecision::Compact => Self::Compact,
        }
    }
}
