//! What a word is: Unicode's Annex 29, in lower case.
//!
//! The standard's borders serve every script without a dictionary: text that is written without
//! spaces falls into letters, each a word, and so stays findable. There is neither stemming nor a
//! list of stop words: both know one language only, and surprise in every other. What is alike in
//! meaning is the vectors' part.

use std::collections::BTreeMap;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Bytes of a word; what is longer is no word that anybody types, and is left out.
const MAX_WORD_BYTES: usize = 256;

/// The words of a text with the bytes that they take.
pub(super) fn words(text: &str) -> impl Iterator<Item = (Range<usize>, String)> + '_ {
    let words = text.unicode_word_indices().flat_map(parts);
    words
        .filter(|(_, word)| word.len() <= MAX_WORD_BYTES)
        .map(|(start, word)| (start..start + word.len(), word.to_lowercase()))
}

/// The parts between spaces. The standard joins words by the narrow space that stands before
/// French punctuation and in numbers; nobody searches for it.
fn parts((start, word): (usize, &str)) -> impl Iterator<Item = (usize, &str)> {
    let parts = word.split(char::is_whitespace);
    parts
        .filter(|part| part.contains(char::is_alphanumeric))
        .map(move |part| (start + (part.as_ptr().addr() - word.as_ptr().addr()), part))
}

/// How often each word occurs in a passage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WordCounts {
    /// In the order of words.
    pub(super) counts: BTreeMap<String, u32>,
    /// Words in all.
    pub(super) total: u32,
}

impl WordCounts {
    /// The words of a title and of the text that stands after it.
    pub(crate) fn of(title: Option<&str>, text: &str) -> Self {
        let mut counts = Self::default();
        let title = title.into_iter().flat_map(words);
        for (_, word) in title.chain(words(text)) {
            *counts.counts.entry(word).or_default() += 1;
            counts.total += 1;
        }
        counts
    }

    /// Says, most likely, whether two passages have the same words.
    pub(crate) fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for (word, count) in &self.counts {
            hasher.update(word.as_bytes());
            // No word holds this byte.
            hasher.update(&[0xff]);
            hasher.update(&count.to_le_bytes());
        }
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> Vec<String> {
        words(text).map(|(_, word)| word).collect()
    }

    #[test]
    fn words_are_in_lower_case_and_without_punctuation() {
        assert_eq!(
            found("Don't panic, ERR_42: 3.14 (Straße) NF-κB!"),
            ["don't", "panic", "err_42", "3.14", "straße", "nf", "κb"]
        );
        assert!(found(" … --- \n").is_empty());
    }

    #[test]
    fn a_narrow_space_is_a_space() {
        let places: Vec<_> = words("Quoi\u{202f}? 10\u{202f}000").collect();
        let words: Vec<&str> = places.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(words, ["quoi", "10", "000"]);
        assert_eq!(places[2].0, 14..17);
    }

    #[test]
    fn text_without_spaces_falls_into_letters() {
        assert_eq!(found("東京都"), ["東", "京", "都"]);
    }

    #[test]
    fn a_word_that_is_too_long_is_left_out() {
        let longest = "x".repeat(MAX_WORD_BYTES);
        assert!(found(&longest).iter().eq([&longest]));
        assert!(found(&format!("{longest}x")).is_empty());
    }

    #[test]
    fn title_and_text_count_together() {
        let counts = WordCounts::of(Some("Red lamp"), "a red, red door");
        assert_eq!(counts.counts["red"], 3);
        assert_eq!(counts.total, 6);
        assert_eq!(
            counts.checksum(),
            WordCounts::of(None, "red a red door lamp red").checksum()
        );
        assert_ne!(
            counts.checksum(),
            WordCounts::of(None, "red a red door lamp").checksum()
        );
    }

    proptest! {
        #[test]
        fn a_word_never_splits_a_character_and_holds_no_space(text in "\\PC{0,60}") {
            for (range, word) in words(&text) {
                prop_assert!(text.get(range).is_some());
                prop_assert!(!word.is_empty() && !word.contains(char::is_whitespace));
            }
        }
    }
}
