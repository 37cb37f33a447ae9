//! The words that a search looks for.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::words::words;
use crate::Error;

/// Distinct words of one query.
pub const MAX_QUERY_WORDS: usize = 1024;

/// The words of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordQuery {
    /// In the order in which they occur first, with how often they do.
    words: Vec<(String, u32)>,
}

impl WordQuery {
    /// Reads the words of a text; there may be none.
    ///
    /// # Errors
    /// [`Error::TooManyWords`] beyond [`MAX_QUERY_WORDS`] distinct ones.
    pub fn new(text: &str) -> Result<Self, Error> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut found: Vec<(String, u32)> = Vec::new();
        for (_, word) in words(text) {
            match places.get(&word) {
                Some(place) => found[*place].1 += 1,
                None => {
                    places.insert(word.clone(), found.len());
                    found.push((word, 1));
                }
            }
        }
        if found.len() > MAX_QUERY_WORDS {
            return Err(Error::TooManyWords {
                words: found.len(),
                max_words: MAX_QUERY_WORDS,
            });
        }
        Ok(Self { words: found })
    }

    /// Where the words stand in a text, in bytes, from first to last.
    ///
    /// ```
    /// let query = siamese_index::WordQuery::new("red Türen")?;
    /// assert_eq!(query.matches("Rote türen, red doors"), [5..11, 13..16]);
    /// # Ok::<(), siamese_index::Error>(())
    /// ```
    pub fn matches(&self, text: &str) -> Vec<Range<usize>> {
        let wanted: HashSet<&str> = self.words.iter().map(|(word, _)| word.as_str()).collect();
        let found = words(text).filter(|(_, word)| wanted.contains(word.as_str()));
        found.map(|(range, _)| range).collect()
    }

    /// Distinct words with how often each occurs.
    pub(super) fn words(&self) -> impl Iterator<Item = (&str, u32)> {
        self.words
            .iter()
            .map(|(word, count)| (word.as_str(), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_in_their_order() {
        let query = WordQuery::new("To be, or not TO be").unwrap();
        let words: Vec<_> = query.words().collect();
        assert_eq!(words, [("to", 2), ("be", 2), ("or", 1), ("not", 1)]);
    }

    #[test]
    fn a_query_of_too_many_words_is_refused() {
        let text = |words: usize| {
            (0..words)
                .map(|word| format!("w{word} w0 "))
                .collect::<String>()
        };
        assert!(WordQuery::new(&text(MAX_QUERY_WORDS)).is_ok());
        let error = WordQuery::new(&text(MAX_QUERY_WORDS + 1)).unwrap_err();
        assert!(error.to_string().contains("1025"), "{error}");
    }
}
