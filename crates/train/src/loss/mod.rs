//! How far vectors are from what examples ask for.

mod graded;
mod ranking;

use std::fmt;
use std::str::FromStr;

use crate::Examples;

pub(crate) use graded::{contrastive, cosent, cosine};
pub(crate) use ranking::{Candidates, ranking, triplet};

/// A loss: what is to become small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Each anchor should be nearer to its positive than to all other positives and negatives of the batch
    /// (multiple negatives ranking; Henderson et al., "Efficient Natural Language Response Suggestion",
    /// 2017).
    MultipleNegatives,
    /// Each anchor should be nearer to its positive than to its own negative, by a margin.
    Triplet,
    /// Pairs with larger scores should have larger cosines (CoSENT; Su, 2022).
    Cosent,
    /// The cosine of a pair should be its score.
    Cosine,
    /// Pairs with the label 1 should be near, those with 0 farther away than a margin (Hadsell, Chopra and
    /// LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", 2006).
    Contrastive,
}

const NAMES: [(Loss, &str); 5] = [
    (Loss::MultipleNegatives, "multiple-negatives"),
    (Loss::Triplet, "triplet"),
    (Loss::Cosent, "cosent"),
    (Loss::Cosine, "cosine"),
    (Loss::Contrastive, "contrastive"),
];

impl Loss {
    /// What follows from the columns of the examples.
    #[must_use]
    pub const fn of(examples: &Examples) -> Self {
        match examples {
            Examples::Ranked(_) => Self::MultipleNegatives,
            Examples::Scored(_) => Self::Cosent,
            Examples::Labelled(_) => Self::Contrastive,
        }
    }

    /// Whether it can be computed of such examples.
    #[must_use]
    pub fn fits(self, examples: &Examples) -> bool {
        match self {
            Self::MultipleNegatives => matches!(examples, Examples::Ranked(_)),
            Self::Triplet => {
                matches!(examples, Examples::Ranked(pairs) if pairs.iter().all(|pair| !pair.negatives.is_empty()))
            }
            Self::Cosent | Self::Cosine => !matches!(examples, Examples::Ranked(_)),
            Self::Contrastive => matches!(examples, Examples::Labelled(_)),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(loss, _)| loss == self);
        formatter.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for Loss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let loss = NAMES.iter().find(|(_, name)| *name == text);
        let names = || NAMES.map(|(_, name)| name).join(", ");
        loss.map(|(loss, _)| *loss)
            .ok_or_else(|| format!("it may be {}", names()))
    }
}
