//! By what to search.

use std::fmt;

use clap::ValueEnum;

/// A way to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// By meaning
    Semantic,
    /// By words
    Lexical,
    /// By both
    Hybrid,
}

impl Mode {
    pub(crate) const ALL: [Self; 3] = [Self::Semantic, Self::Lexical, Self::Hybrid];
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Semantic => "semantic",
            Self::Lexical => "lexical",
            Self::Hybrid => "hybrid",
        })
    }
}
