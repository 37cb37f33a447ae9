//! The terms that a search looks for.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::words::{Word, WordSettings, for_each_word};
use crate::Error;

/// Distinct words of one query.
pub const MAX_QUERY_WORDS: usize = 1024;

/// The terms of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct WordQuery {
    /// In the order in which they occur first, with their weights: how often they do, where the parts of
    /// a compound count as one word together.
    words: Vec<(String, f32)>,
    settings: WordSettings,
}

impl WordQuery {
    /// Reads the words of a text as those of a collection with these settings; there may be none.
    /// Words that are too common in the collection's language are left out, unless there are no others.
    ///
    /// # Errors
    /// [`Error::TooManyWords`] beyond [`MAX_QUERY_WORDS`] distinct ones.
    pub fn new(text: &str, settings: WordSettings) -> Result<Self, Error> {
        let mut read: Vec<Word> = Vec::new();
        for_each_word(text, settings, &mut |word| read.push(word));
        if read
            .iter()
            .any(|word| word.is_counted && !word.is_stop_word)
        {
            read.retain(|word| !word.is_stop_word);
        }
        let counted = read.iter().filter(|word| word.is_counted);
        let counted: HashSet<&str> = counted.map(|word| word.term.as_str()).collect();
        if counted.len() > MAX_QUERY_WORDS {
            return Err(Error::TooManyWords {
                words: counted.len(),
                max_words: MAX_QUERY_WORDS,
            });
        }
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut words: Vec<(String, f32)> = Vec::new();
        for Word { term, sharing, .. } in read {
            let weight = 1.0 / sharing.max(1) as f32;
            match places.get(&term) {
                Some(place) => words[*place].1 += weight,
                None => {
                    places.insert(term.clone(), words.len());
                    words.push((term, weight));
                }
            }
        }
        Ok(Self { words, settings })
    }

    /// Where the words stand in a text, in bytes, from first to last.
    ///
    /// ```
    /// use siamese_index::{WordQuery, WordSettings};
    ///
    /// let query = WordQuery::new("red Türen", WordSettings::default())?;
    /// assert_eq!(query.matches("Rote türen, red doors"), [5..11, 13..16]);
    /// # Ok::<(), siamese_index::Error>(())
    /// ```
    pub fn matches(&self, text: &str) -> Vec<Range<usize>> {
        let wanted: HashSet<&str> = self.words.iter().map(|(word, _)| word.as_str()).collect();
        let mut found = Vec::new();
        for_each_word(text, self.settings, &mut |word| {
            if wanted.contains(word.term.as_str()) {
                found.push(word.range);
            }
        });
        united(found)
    }

    /// Distinct terms with their weights.
    pub fn words(&self) -> impl Iterator<Item = (&str, f32)> {
        self.words
            .iter()
            .map(|(word, weight)| (word.as_str(), *weight))
    }
}

/// Ranges that overlap become one.
fn united(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut united: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match united.last_mut().filter(|last| range.start < last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => united.push(range),
        }
    }
    united
}

#[cfg(test)]
mod tests {
    use super::super::Language;
    use super::*;

    fn query(text: &str) -> WordQuery {
        WordQuery::new(text, WordSettings::default()).unwrap()
    }

    #[test]
    fn highlights_are_the_bytes_of_the_original() {
        let marked = |asked: &str, text: &'static str| -> Vec<&'static str> {
            let ranges = query(asked).matches(text).into_iter();
            ranges.map(|range| &text[range]).collect()
        };
        assert_eq!(marked("report.pdf", "a report.pdf"), ["report.pdf"]);
        assert_eq!(marked("pdf", "a report.pdf, Report"), ["pdf"]);
        assert_eq!(marked("avion", "l’avion"), ["avion"]);
        assert_eq!(marked("password", "a pass\u{ad}word"), ["pass\u{ad}word"]);
        assert_eq!(
            marked("cafe", "Cafe\u{301}s: CAFE\u{301}."),
            ["CAFE\u{301}"]
        );
        assert_eq!(marked("strasse", "die Straße"), ["Straße"]);
        assert_eq!(marked("film", "ﬁlm ｆｉｌｍ"), ["ﬁlm", "ｆｉｌｍ"]);
    }

    #[test]
    fn common_words_are_looked_for_when_there_are_no_others() {
        let english = WordSettings {
            language: Some(Language::English),
            ..WordSettings::default()
        };
        let words = |text| {
            let query = WordQuery::new(text, english).unwrap();
            let words = query.words().map(|(word, _)| word.to_owned());
            words.collect::<Vec<_>>()
        };
        assert_eq!(words("the lamps of the house"), ["lamp", "hous"]);
        assert_eq!(words("to be or not to be"), ["to", "be", "or", "not"]);
    }

    #[test]
    fn words_are_counted_in_their_order() {
        let query = query("To be, or not TO be");
        let words: Vec<_> = query.words().collect();
        assert_eq!(words, [("to", 2.0), ("be", 2.0), ("or", 1.0), ("not", 1.0)]);
    }

    #[test]
    fn the_parts_of_a_compound_weigh_as_much_as_its_whole() {
        for (text, expected) in [
            (
                "report.pdf",
                [("report", 0.5), ("pdf", 0.5), ("report.pdf", 1.0)].as_slice(),
            ),
            ("l'avion", &[("avion", 1.0), ("l'avion", 1.0)]),
            ("getName", &[("getname", 1.0), ("get", 0.5), ("name", 0.5)]),
            (
                "pdf report.pdf",
                &[("pdf", 1.5), ("report", 0.5), ("report.pdf", 1.0)],
            ),
        ] {
            let query = query(text);
            let words: Vec<_> = query.words().collect();
            assert_eq!(words, expected);
        }
    }

    #[test]
    fn a_query_of_too_many_words_is_refused() {
        let text = |words: usize| {
            (0..words)
                .map(|word| format!("w{word} w0 "))
                .collect::<String>()
        };
        assert!(WordQuery::new(&text(MAX_QUERY_WORDS), WordSettings::default()).is_ok());
        let error =
            WordQuery::new(&text(MAX_QUERY_WORDS + 1), WordSettings::default()).unwrap_err();
        assert!(error.to_string().contains("1025"), "{error}");
    }
}
