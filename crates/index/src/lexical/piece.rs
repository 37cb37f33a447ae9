//! Passages of the head, by their terms.

use super::row::Row;

/// How often a term occurs in a passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Posting {
    pub(super) row: u32,
    pub(super) count: u32,
}

/// Some passages with an inverted index over their terms. It never changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    rows: Vec<Row>,
    /// All terms one after the other, in their order.
    text: String,
    words: Vec<Word>,
    /// Those of the first term, then those of the second.
    postings: Vec<Posting>,
}

/// Where a term ends, in the text and in the postings; it begins where the one before ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Word {
    text_end: usize,
    postings_end: usize,
}

impl Piece {
    /// Passages without terms yet.
    pub(super) fn of_rows(rows: Vec<Row>) -> Self {
        Self {
            rows,
            ..Self::default()
        }
    }

    /// Adds a term that is greater than all before.
    pub(super) fn push_word(&mut self, word: &str, postings: &[Posting]) {
        self.text.push_str(word);
        self.postings.extend_from_slice(postings);
        self.words.push(Word {
            text_end: self.text.len(),
            postings_end: self.postings.len(),
        });
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.rows.as_slice())
            + self.text.len()
            + size_of_val(self.words.as_slice())
            + size_of_val(self.postings.as_slice())
    }

    /// The passages that have a term.
    pub(super) fn postings(&self, word: &str) -> &[Posting] {
        let (mut low, mut high) = (0, self.words.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.word(middle) < word {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if low < self.words.len() && self.word(low) == word {
            self.postings_at(low)
        } else {
            &[]
        }
    }

    /// Both pieces as one; the passages of the other are greater.
    pub(super) fn joined(&self, other: &Self) -> Self {
        let shift = self.rows.len() as u32;
        let mut joined = Self::of_rows([self.rows.as_slice(), &other.rows].concat());
        joined.text.reserve(self.text.len().max(other.text.len()));
        joined
            .postings
            .reserve(self.postings.len() + other.postings.len());
        let (mut left, mut right) = (0, 0);
        let mut both = Vec::new();
        while left < self.words.len() || right < other.words.len() {
            let in_left = (left < self.words.len()).then(|| self.word(left));
            let in_right = (right < other.words.len()).then(|| other.word(right));
            let takes_left = in_left.is_some() && (in_right.is_none() || in_left <= in_right);
            let takes_right = in_right.is_some() && (in_left.is_none() || in_right <= in_left);
            both.clear();
            if takes_left {
                both.extend_from_slice(self.postings_at(left));
            }
            if takes_right {
                both.extend(other.postings_at(right).iter().map(|posting| Posting {
                    row: posting.row + shift,
                    count: posting.count,
                }));
            }
            let word = if takes_left { in_left } else { in_right };
            joined.push_word(word.unwrap_or_default(), &both);
            left += usize::from(takes_left);
            right += usize::from(takes_right);
        }
        joined
    }

    /// Only the passages that are kept.
    pub(super) fn retained(&self, keep: impl Fn(u32) -> bool) -> Self {
        let mut rows = Vec::new();
        let new_places: Vec<Option<u32>> = self
            .rows
            .iter()
            .map(|row| {
                let place = rows.len() as u32;
                keep(row.passage).then(|| {
                    rows.push(*row);
                    place
                })
            })
            .collect();
        let mut retained = Self::of_rows(rows);
        for word in 0..self.words.len() {
            let postings = self.postings_at(word).iter();
            let kept: Vec<Posting> = postings
                .filter_map(|posting| {
                    let row = new_places[posting.row as usize]?;
                    Some(Posting { row, ..*posting })
                })
                .collect();
            if !kept.is_empty() {
                retained.push_word(self.word(word), &kept);
            }
        }
        retained
    }

    /// The terms of each passage, repeated as often as they occur, with a space after each.
    pub(super) fn texts(&self) -> Vec<String> {
        let mut texts = vec![String::new(); self.rows.len()];
        for word in 0..self.words.len() {
            for posting in self.postings_at(word) {
                for _ in 0..posting.count {
                    texts[posting.row as usize].push_str(self.word(word));
                    texts[posting.row as usize].push(' ');
                }
            }
        }
        texts
    }

    fn before(&self, place: usize) -> Word {
        place
            .checked_sub(1)
            .map_or_else(Word::default, |place| self.words[place])
    }

    fn word(&self, place: usize) -> &str {
        &self.text[self.before(place).text_end..self.words[place].text_end]
    }

    fn postings_at(&self, place: usize) -> &[Posting] {
        &self.postings[self.before(place).postings_end..self.words[place].postings_end]
    }
}

#[cfg(test)]
mod tests {
    use super::super::builder::PieceBuilder;
    use super::super::word_counts::WordCounts;
    use super::super::words::WordSettings;
    use super::*;
    use proptest::prelude::*;

    fn piece(first: u32, texts: &[String]) -> Piece {
        let mut builder = PieceBuilder::default();
        for (text, passage) in texts.iter().zip(first..) {
            builder.add(
                passage,
                passage / 2,
                WordCounts::of(None, text, WordSettings::default()),
            );
        }
        builder.finish()
    }

    fn texts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[a-d д]{0,12}", 0..8)
    }

    proptest! {
        #[test]
        fn joining_and_leaving_out_equal_building_anew(left in texts(), right in texts(), cut in 0..16_u32) {
            let both = [left.clone(), right.clone()].concat();
            let whole = piece(7, &both);
            let joined = piece(7, &left).joined(&piece(7 + left.len() as u32, &right));
            prop_assert_eq!(&joined, &whole);
            let cut = (cut as usize).min(both.len());
            let rest = piece(7 + cut as u32, &both[cut..]);
            prop_assert_eq!(whole.retained(|passage| passage >= 7 + cut as u32), rest);
        }

        #[test]
        fn a_word_is_found_in_the_passages_that_have_it(texts in texts(), word in "[a-dд]{1,2}") {
            let piece = piece(0, &texts);
            let expected: Vec<Posting> = texts
                .iter()
                .zip(0..)
                .filter_map(|(text, row)| {
                    let count = text.split(' ').filter(|other| *other == word).count() as u32;
                    (count > 0).then_some(Posting { row, count })
                })
                .collect();
            prop_assert_eq!(piece.postings(&word), expected);
            let again: Vec<String> = piece.texts();
            prop_assert_eq!(self::piece(0, &again), piece);
        }
    }
}
