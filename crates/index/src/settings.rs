//! What is chosen when a collection is made.

use std::ops::RangeInclusive;

use crate::Error;

/// Settings of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectionSettings {
    /// How long texts become passages.
    pub chunking: Chunking,
    /// How its vectors are indexed.
    pub graph: GraphSettings,
    /// Whether its words are indexed, so that it can be searched by them.
    pub lexical: bool,
}

impl Default for CollectionSettings {
    fn default() -> Self {
        Self {
            chunking: Chunking::default(),
            graph: GraphSettings::default(),
            lexical: true,
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
}

/// How long passages are, in tokens of the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassageSize {
    /// Tokens of a passage; title, prompt and special tokens count.
    pub max_tokens: u32,
    /// Tokens at the end of a passage that the next one repeats, at most.
    pub overlap_tokens: u32,
}

/// The graph over a collection's vectors (HNSW, Malkov and Yashunin 2018, whose names these are).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphSettings {
    /// Neighbours of a vector on the upper levels; twice as many on the bottom. 4 to 64.
    pub m: usize,
    /// Candidates among which neighbours are chosen. More than `m`, up to 2000.
    pub ef_construction: usize,
    /// Candidates that a search keeps when it does not say, unless its question needs more. 1 to
    /// 10000.
    pub ef_search: usize,
}

impl Default for GraphSettings {
    fn default() -> Self {
        Self {
            m: 16,
            ef_construction: 200,
            ef_search: 64,
        }
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
}
