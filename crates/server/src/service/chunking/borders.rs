//! Where a text may be cut, and how well: paragraphs, sentences, lines, words, letters.
//!
//! Sentences, words and letters are those of Unicode Standard Annex 29.

use std::iter::Peekable;
use std::ops::{Range, RangeInclusive};

use unicode_segmentation::UnicodeSegmentation;

/// White space around a cut that is looked at for line breaks, in characters on each side.
const MAX_SPACE_CHARS: usize = 64;

/// What a cut separates, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Border {
    /// Parts of one letter with its accents, or of one emoji.
    Inside,
    /// Letters of a word, or a word and the punctuation after it.
    Letter,
    /// Words without white space between them, as in Chinese.
    Part,
    /// Words.
    Word,
    /// Lines.
    Line,
    /// Sentences.
    Sentence,
    /// Paragraphs: there is a blank line.
    Paragraph,
}

/// A place between two tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) border: Border,
    /// First byte after the cut.
    pub(super) byte: usize,
}

/// The cut before each token, in time linear in text and tokens.
pub(super) fn cuts(text: &str, tokens: &[Range<usize>]) -> Vec<Cut> {
    let unwrapped = with_joined_lines(text);
    let mut sentences = Sweep::new(unwrapped.split_sentence_bound_indices());
    let mut words = Sweep::new(text.split_word_bound_indices());
    let mut letters = Sweep::new(text.grapheme_indices(true));
    let (mut end_before, mut byte_before) = (0, 0);
    tokens
        .iter()
        .map(|token| {
            let token = trimmed(text, token.clone());
            let gap = end_before..=token.start;
            end_before = token.end;
            let word = words.last_within(&gap);
            let sentence = sentences.last_within(&gap).filter(|_| word.is_some());
            let letter = letters.last_within(&gap);
            let byte = sentence.or(word).or(letter).unwrap_or(token.start);
            // A tokenizer whose spans go back must not make passages that do.
            let byte = byte.max(byte_before);
            byte_before = byte;
            let border = match (sentence, word, letter) {
                (Some(_), ..) => between_sentences(text, byte),
                (None, Some(_), _) => between_words(text, byte),
                (None, None, Some(_)) => Border::Letter,
                (None, None, None) => Border::Inside,
            };
            Cut { border, byte }
        })
        .collect()
}

/// The span without white space at its ends; a span of white space becomes its empty end.
fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let part = &text[span.clone()];
    let start = span.end - part.trim_start().len();
    start..start + part.trim().len()
}

fn between_sentences(text: &str, byte: usize) -> Border {
    if line_breaks_around(text, byte) >= 2 {
        Border::Paragraph
    } else {
        Border::Sentence
    }
}

fn between_words(text: &str, byte: usize) -> Border {
    let (before, after) = (
        text[..byte].chars().next_back(),
        text[byte..].chars().next(),
    );
    let is_space = |letter: Option<char>| letter.is_some_and(char::is_whitespace);
    match line_breaks_around(text, byte) {
        0 if is_space(before) || is_space(after) => Border::Word,
        0 if after.is_some_and(char::is_alphanumeric) => Border::Part,
        0 => Border::Letter,
        1 => Border::Line,
        _ => Border::Paragraph,
    }
}

fn line_breaks_around(text: &str, byte: usize) -> usize {
    let is_space = |letter: &char| letter.is_whitespace();
    let before = text[..byte].chars().rev().take(MAX_SPACE_CHARS);
    let after = text[byte..].chars().take(MAX_SPACE_CHARS);
    before
        .take_while(is_space)
        .chain(after.take_while(is_space))
        .filter(|letter| *letter == '\n')
        .count()
}

/// The text with a space for each line break that is not beside a blank line, byte for byte as
/// long: Annex 29 ends a sentence at every line break, and many texts are wrapped.
fn with_joined_lines(text: &str) -> String {
    let is_blank = |line: &&str| line.trim().is_empty();
    let mut joined = String::with_capacity(text.len());
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        if is_blank(&line) || lines.peek().is_none_or(is_blank) {
            joined.push_str(line);
        } else {
            let words = line.trim_end_matches(['\r', '\n']);
            joined.push_str(words);
            joined.extend(std::iter::repeat_n(' ', line.len() - words.len()));
        }
    }
    joined
}

/// Ascending boundaries, asked by ascending gaps.
struct Sweep<I: Iterator> {
    boundaries: Peekable<I>,
    last: Option<usize>,
}

impl<'a, I: Iterator<Item = (usize, &'a str)>> Sweep<I> {
    fn new(boundaries: I) -> Self {
        Self {
            boundaries: boundaries.peekable(),
            last: None,
        }
    }

    /// The last boundary in a gap.
    fn last_within(&mut self, gap: &RangeInclusive<usize>) -> Option<usize> {
        while let Some((place, _)) = self.boundaries.next_if(|(place, _)| place <= gap.end()) {
            self.last = Some(place);
        }
        self.last.filter(|place| gap.contains(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One token for each word and each sign.
    fn tokens(text: &str) -> Vec<Range<usize>> {
        text.unicode_word_indices()
            .map(|(start, word)| start..start + word.len())
            .collect()
    }

    fn borders(text: &str) -> Vec<Border> {
        cuts(text, &tokens(text))
            .iter()
            .skip(1)
            .map(|cut| cut.border)
            .collect()
    }

    #[test]
    fn words_lines_sentences_and_paragraphs_are_told_apart() {
        use Border::{Line, Paragraph, Sentence, Word};
        assert_eq!(
            borders("a b\nc. D e!\nF\n\ng"),
            [Word, Line, Sentence, Word, Sentence, Paragraph]
        );
    }

    #[test]
    fn a_wrapped_line_is_no_end_of_a_sentence() {
        assert_eq!(borders("one\r\ntwo"), [Border::Line]);
        assert_eq!(borders("one\r\n\r\ntwo"), [Border::Paragraph]);
    }

    #[test]
    fn chinese_is_cut_between_its_sentences_and_its_words_and_not_before_a_comma() {
        let text = "我们，好。他";
        let letters: Vec<_> = text
            .char_indices()
            .map(|(start, letter)| start..start + letter.len_utf8())
            .collect();
        let borders: Vec<_> = cuts(text, &letters).iter().map(|cut| cut.border).collect();
        use Border::{Letter, Part, Sentence};
        assert_eq!(borders[1..], [Part, Letter, Part, Letter, Sentence]);
    }

    #[test]
    fn a_cut_between_tokens_of_one_emoji_is_inside() {
        let text = "👩‍🚀x";
        let places = cuts(text, &[0..4, 4..7, 7..11, 11..12]);
        let borders: Vec<_> = places.iter().map(|cut| cut.border).collect();
        assert_eq!(borders[1..3], [Border::Inside, Border::Inside]);
        assert!(borders[3] > Border::Inside);
    }

    #[test]
    fn tokens_that_carry_the_space_before_them_find_the_same_borders() {
        let text = "One two. Three";
        let cut = cuts(text, &[0..3, 3..7, 7..8, 8..14])[3];
        assert_eq!((cut.border, cut.byte), (Border::Sentence, 9));
    }
}
