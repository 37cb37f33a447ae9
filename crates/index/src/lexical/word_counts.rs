//! How often each term occurs in a passage.

use std::collections::BTreeMap;

use super::words::{WordSettings, for_each_word};

/// How often each term occurs in a passage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WordCounts {
    /// In the order of terms.
    pub(super) counts: BTreeMap<String, u32>,
    /// Words in all. What else they are found by is not among them, nor are words that are too common.
    pub(super) total: u32,
}

impl WordCounts {
    /// The words of a title and of the text that stands after it.
    pub fn of(title: Option<&str>, text: &str, settings: WordSettings) -> Self {
        let mut counts = Self::default();
        for text in title.into_iter().chain([text]) {
            for_each_word(text, settings, &mut |word| {
                *counts.counts.entry(word.term).or_default() += 1;
                counts.total += u32::from(word.is_counted && !word.is_stop_word);
            });
        }
        counts
    }

    /// Terms, in their order, with how often each occurs.
    pub fn terms(&self) -> impl Iterator<Item = (&str, u32)> {
        let counts = self.counts.iter();
        counts.map(|(term, count)| (term.as_str(), *count))
    }

    /// Words in all. What else they are found by is not among them, nor are words that are too common.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// Says, most likely, whether two passages have the same terms.
    pub(crate) fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for (term, count) in &self.counts {
            hasher.update(term.as_bytes());
            // No term holds this byte.
            hasher.update(&[0xff]);
            hasher.update(&count.to_le_bytes());
        }
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_and_text_count_together() {
        let of = |title, text| WordCounts::of(title, text, WordSettings::default());
        let counts = of(Some("Red lamp"), "a red, red door");
        assert_eq!(counts.counts["red"], 3);
        assert_eq!(counts.total, 6);
        assert_eq!(
            counts.checksum(),
            of(None, "red a red door lamp red").checksum()
        );
        assert_ne!(
            counts.checksum(),
            of(None, "red a red door lamp").checksum()
        );
    }
}
