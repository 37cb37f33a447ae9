//! Examples of what is alike, and the texts that they are made of.

mod columns;
mod files;
mod texts;

pub use files::read;
pub use texts::{TextId, Texts};

/// Examples and their texts.
#[derive(Debug, Default)]
pub struct TrainingData {
    /// Each text once.
    pub texts: Texts,
    /// What is known of them.
    pub examples: Examples,
    /// The names of labels, by their numbers.
    pub labels: Vec<String>,
    /// SHA-256 over all files, in hexadecimal digits.
    pub hash: String,
}

/// Examples, all of one kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Examples {
    /// Of each anchor a text that belongs to it.
    Ranked(Vec<RankedPair>),
    /// Of each two texts how alike they are.
    Scored(Vec<GradedPair>),
    /// Of each two texts whether they are alike: the score is 0 or 1.
    Labelled(Vec<GradedPair>),
}

/// A text, one that belongs to it, and some that do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankedPair {
    /// What is compared with the others, as a query.
    pub anchor: TextId,
    /// What belongs to it.
    pub positive: TextId,
    /// What does not.
    pub negatives: Vec<TextId>,
    /// What both are about, where that is known: examples with the same label have no part in each other's
    /// negatives.
    pub label: Option<u32>,
}

/// Two texts, and how alike they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradedPair {
    /// One.
    pub left: TextId,
    /// The other.
    pub right: TextId,
    /// How alike they are; the larger, the more.
    pub score: f32,
}

impl Default for Examples {
    fn default() -> Self {
        Self::Ranked(Vec::new())
    }
}

impl Examples {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Ranked(pairs) => pairs.len(),
            Self::Scored(pairs) | Self::Labelled(pairs) => pairs.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those at some places, in their order.
    #[must_use]
    pub fn at(&self, places: &[usize]) -> Self {
        fn at<T: Clone>(pairs: &[T], places: &[usize]) -> Vec<T> {
            places.iter().map(|place| pairs[*place].clone()).collect()
        }
        match self {
            Self::Ranked(pairs) => Self::Ranked(at(pairs, places)),
            Self::Scored(pairs) => Self::Scored(at(pairs, places)),
            Self::Labelled(pairs) => Self::Labelled(at(pairs, places)),
        }
    }

    /// What an example is about, so that all about the same can be kept together: its first text.
    #[must_use]
    pub fn first_text(&self, place: usize) -> TextId {
        match self {
            Self::Ranked(pairs) => pairs[place].anchor,
            Self::Scored(pairs) | Self::Labelled(pairs) => pairs[place].left,
        }
    }

    /// What belongs to the first text of an example, or is compared with it.
    #[must_use]
    pub fn second_text(&self, place: usize) -> TextId {
        match self {
            Self::Ranked(pairs) => pairs[place].positive,
            Self::Scored(pairs) | Self::Labelled(pairs) => pairs[place].right,
        }
    }
}
