//! Settings of a collection: what is chosen when it is made, and what may change later.

use std::ops::RangeInclusive;

use crate::Error;
use crate::lexical::WordSettings;

/// Settings of a collection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CollectionSettings {
    /// How long texts become passages.
    pub chunking: Chunking,
    /// How its vectors are indexed.
    pub graph: GraphSettings,
    /// Whether its words are indexed, so that it can be searched by them.
    pub lexical: bool,
    /// How words are told apart, where they are indexed.
    pub words: WordSettings,
    /// What becomes of a document that resembles another one, unless its request says so. This and the next one
    /// change for a collection with documents, too; the index keeps them and does not act on them.
    pub on_duplicate: Option<OnDuplicate>,
    /// How many texts that were searched for last are remembered.
    pub keep_queries: u32,
}

/// What becomes of a document that resembles one that is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OnDuplicate {
    /// What is done.
    pub action: DuplicateAction,
    /// The least cosine of two that resemble each other, -1 to 1.
    pub min_score: f32,
}

/// What is done with a document that resembles another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicateAction {
    /// It is stored, and the answer names the other.
    Flag,
    /// It is not stored.
    Reject,
}

impl Default for CollectionSettings {
    fn default() -> Self {
        Self {
            chunking: Chunking::default(),
            graph: GraphSettings::default(),
            lexical: true,
            words: WordSettings::default(),
            on_duplicate: None,
            keep_queries: 0,
        }
    }
}

impl CollectionSettings {
    /// The most that `keep_queries` may be.
    pub const MAX_KEPT_QUERIES: u32 = 10_000;

    /// Checks that every setting is within its range. What a passage may have also depends on the
    /// encoder's window, which the index does not know.
    ///
    /// # Errors
    /// [`Error::GraphSetting`], [`Error::PassageSetting`], [`Error::ScoreSetting`] or [`Error::KeptQueries`], for the
    /// first that is not.
    pub fn check(&self) -> Result<(), Error> {
        self.graph.check()?;
        self.on_duplicate.map_or(Ok(()), OnDuplicate::check)?;
        if self.keep_queries > Self::MAX_KEPT_QUERIES {
            return Err(Error::KeptQueries {
                value: self.keep_queries,
                max: Self::MAX_KEPT_QUERIES,
            });
        }
        match self.chunking {
            Chunking::Off => Ok(()),
            Chunking::Sentence(size) | Chunking::Fixed(size) | Chunking::Paragraph(size) => {
                size.check()
            }
        }
    }

    /// Returns whether a collection with these settings takes the others without being made again.
    pub fn may_become(&self, others: &Self) -> bool {
        *others == self.with_changeable(others)
    }

    /// Returns these settings, but for those that change in place, which are the other's.
    pub fn with_changeable(&self, others: &Self) -> Self {
        Self {
            on_duplicate: others.on_duplicate,
            keep_queries: others.keep_queries,
            ..*self
        }
    }
}

impl OnDuplicate {
    fn check(self) -> Result<(), Error> {
        let min_score = self.min_score;
        match (-1.0..=1.0).contains(&min_score) {
            true => Ok(()),
            false => Err(Error::ScoreSetting { min_score }),
        }
    }
}

/// How long texts become passages. The index keeps this and does not act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chunking {
    /// One passage a document, whatever its length.
    #[default]
    Off,
    /// Passages that end at paragraphs and sentences where they can.
    Sentence(PassageSize),
    /// Passages as long as they may be, cut between words.
    Fixed(PassageSize),
    /// As sentences, and no passage holds parts of two paragraphs.
    Paragraph(PassageSize),
}

/// How long passages are, in tokens of the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassageSize {
    /// Tokens of a passage; title, prompt and special tokens count.
    pub max_tokens: u32,
    /// Tokens at the end of a passage that the next one repeats, at most.
    pub overlap_tokens: u32,
}

impl PassageSize {
    /// More than the window of any encoder known.
    pub const MAX_TOKENS: u32 = 1 << 20;

    /// The most that passages of a size may repeat.
    pub fn max_overlap_tokens(max_tokens: u32) -> u32 {
        max_tokens / 2
    }

    fn check(self) -> Result<(), Error> {
        let max_overlap = Self::max_overlap_tokens(self.max_tokens);
        for (field, value, allowed) in [
            ("max_tokens", self.max_tokens, 1..=Self::MAX_TOKENS),
            ("overlap_tokens", self.overlap_tokens, 0..=max_overlap),
        ] {
            if !allowed.contains(&value) {
                return Err(Error::PassageSetting {
                    field,
                    value,
                    min: *allowed.start(),
                    max: *allowed.end(),
                });
            }
        }
        Ok(())
    }
}

/// What segments hold of vectors. Scores are the same with either: the record has every vector as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum VectorPrecision {
    /// The vectors, four bytes a value, beside the codes that a walk goes by.
    #[default]
    Full,
    /// Codes alone, two bytes a value: half the memory. The vectors of those that may be hits are read from the record.
    Compact,
}

/// The graph over a collection's vectors (HNSW, Malkov and Yashunin 2018, whose names these are).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphSettings {
    /// Neighbours of a vector on the upper levels; twice as many on the bottom. 4 to 64.
    pub m: usize,
    /// Candidates among which neighbours are chosen. More than `m`, up to 2000.
    pub ef_construction: usize,
    /// Candidates that a search keeps when it does not say, unless its query needs more. 1 to
    /// 10000.
    pub ef_search: usize,
    /// What segments hold of vectors.
    pub precision: VectorPrecision,
}

impl Default for GraphSettings {
    fn default() -> Self {
        Self {
            m: 16,
            ef_construction: 200,
            ef_search: 64,
            precision: VectorPrecision::Full,
        }
    }
}

impl VectorPrecision {
    /// Every precision.
    pub const ALL: [Self; 2] = [Self::Full, Self::Compact];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Compact => "compact",
        }
    }

    /// The one with a name; `None` for other names.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|precision| precision.name() == name)
    }
}

impl GraphSettings {
    /// Allowed for `m`.
    pub const M: RangeInclusive<usize> = 4..=64;
    /// The most allowed for `ef_construction`.
    pub const MAX_EF_CONSTRUCTION: usize = 2000;
    /// Allowed for `ef_search`, and for the `ef` of one search.
    pub const EF_SEARCH: RangeInclusive<usize> = 1..=10_000;

    /// Checks that every setting is within its range.
    ///
    /// # Errors
    /// [`Error::GraphSetting`], which names the first setting that is not.
    pub fn check(&self) -> Result<(), Error> {
        within("m", self.m, &Self::M)?;
        let construction = self.m + 1..=Self::MAX_EF_CONSTRUCTION;
        within("ef_construction", self.ef_construction, &construction)?;
        within("ef_search", self.ef_search, &Self::EF_SEARCH)
    }

    /// Checks the `ef` of one search.
    ///
    /// # Errors
    /// [`Error::GraphSetting`] when it is out of its range.
    pub fn check_ef(ef: usize) -> Result<(), Error> {
        within("ef", ef, &Self::EF_SEARCH)
    }
}

const MAX_NAME_BYTES: usize = 64;

/// Checks the name of a collection.
///
/// # Errors
/// [`Error::CollectionName`]
pub fn check_collection_name(name: &str) -> Result<(), Error> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(());
    }
    Err(Error::CollectionName {
        // One that is far too long need not be repeated whole.
        name: name.chars().take(MAX_NAME_BYTES + 1).collect(),
        max_bytes: MAX_NAME_BYTES,
    })
}

fn within(field: &'static str, value: usize, allowed: &RangeInclusive<usize>) -> Result<(), Error> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(Error::GraphSetting {
        field,
        value,
        min: *allowed.start(),
        max: *allowed.end(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_allowed_up_to_their_limits_and_not_beyond() {
        let settings = |m, ef_construction, ef_search| GraphSettings {
            m,
            ef_construction,
            ef_search,
            ..GraphSettings::default()
        };
        for allowed in [(4, 5, 1), (64, 2000, 10_000), (16, 17, 64)] {
            assert!(settings(allowed.0, allowed.1, allowed.2).check().is_ok());
        }
        let refused = [
            (3, 5, 1),
            (65, 200, 1),
            (16, 16, 1),
            (16, 2001, 1),
            (16, 200, 0),
        ];
        for (m, ef_construction, ef_search) in refused {
            assert!(settings(m, ef_construction, ef_search).check().is_err());
        }
    }

    #[test]
    fn a_threshold_of_duplicates_is_a_cosine() {
        let outcome = |min_score| {
            let on_duplicate = Some(OnDuplicate {
                action: DuplicateAction::Flag,
                min_score,
            });
            let settings = CollectionSettings {
                on_duplicate,
                ..CollectionSettings::default()
            };
            settings.check()
        };
        for min_score in [-1.0, 0.0, 1.0] {
            assert!(outcome(min_score).is_ok());
        }
        for min_score in [-1.1, 1.1, f32::NAN, f32::INFINITY] {
            let error = outcome(min_score).unwrap_err();
            assert!(matches!(error, Error::ScoreSetting { .. }), "{error}");
        }
    }

    #[test]
    fn queries_are_kept_up_to_a_number() {
        let outcome = |keep_queries| {
            let settings = CollectionSettings {
                keep_queries,
                ..CollectionSettings::default()
            };
            settings.check()
        };
        assert!(outcome(CollectionSettings::MAX_KEPT_QUERIES).is_ok());
        let error = outcome(CollectionSettings::MAX_KEPT_QUERIES + 1).unwrap_err();
        assert!(matches!(error, Error::KeptQueries { .. }), "{error}");
    }

    #[test]
    fn passages_repeat_up_to_half_of_themselves() {
        let outcome = |max_tokens, overlap_tokens| {
            let chunking = Chunking::Sentence(PassageSize {
                max_tokens,
                overlap_tokens,
            });
            let settings = CollectionSettings {
                chunking,
                ..CollectionSettings::default()
            };
            settings.check()
        };
        for (max_tokens, overlap_tokens) in [(1, 0), (128, 64), (PassageSize::MAX_TOKENS, 0)] {
            assert!(outcome(max_tokens, overlap_tokens).is_ok());
        }
        for (max_tokens, overlap_tokens) in [(0, 0), (128, 65), (u32::MAX, 0)] {
            let error = outcome(max_tokens, overlap_tokens).unwrap_err();
            assert!(matches!(error, Error::PassageSetting { .. }), "{error}");
        }
    }

    #[test]
    fn a_name_has_up_to_64_plain_letters() {
        for name in ["a", "default", "Tickets_2025-1", &"x".repeat(64)] {
            assert!(check_collection_name(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "../x", "ä", "a\0", &"x".repeat(65)] {
            assert!(check_collection_name(name).is_err(), "{name}");
        }
    }
}
