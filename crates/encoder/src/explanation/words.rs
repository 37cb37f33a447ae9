//! Words instead of tokens, which people do not know.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::{Contributions, TokenSource};

/// Pairs that are kept beyond those that are wanted, before the worst are dropped.
const SPARE_PAIRS: usize = 4096;

/// A word of a text, or a run of characters between words that has tokens of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its bytes in the text.
    pub span: Range<usize>,
    /// The parts of the text's vector that it has.
    pub parts: Range<usize>,
    /// Whether it has no letter, digit or symbol.
    pub is_punctuation: bool,
}

/// A word of the left text with one of the right, by their indexes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WordPair {
    /// Index of the left word.
    pub left: usize,
    /// Index of the right word.
    pub right: usize,
    /// What the two add to the cosine.
    pub contribution: f32,
}

/// The words that tokens of a text stand for, in their order: every token is a part of one. Words are
/// those of Unicode (UAX #29), joined where a token reaches over the border of two. Parts of the text
/// that have no tokens, such as white space and what is beyond the window, belong to no word.
#[must_use]
pub fn words(text: &str, sources: &[TokenSource]) -> Vec<Word> {
    let tokens = sources.iter().enumerate();
    let tokens = tokens.filter_map(|(part, source)| match source {
        TokenSource::Text(span) => Some((part, span)),
        TokenSource::Prompt(_) | TokenSource::Special(_) | TokenSource::Bias => None,
    });
    let mut segments = text.split_word_bound_indices().peekable();
    let mut words: Vec<Word> = Vec::new();
    // The first of the tokens of white space before a word, which are counted with it.
    let mut waiting = None;
    for (part, token) in tokens {
        if let Some(word) = words.last_mut()
            && token.start < word.span.end
        {
            // With those that waited, which stand before it.
            word.parts.end = part + 1;
            waiting = None;
            word.span.end = segment_end(&mut segments, token.end).max(word.span.end);
        } else if text[token.clone()].trim().is_empty() {
            waiting = waiting.or(Some(part));
        } else {
            let start = segment_start(&mut segments, token.start);
            let end = segment_end(&mut segments, token.end);
            words.push(Word {
                span: start..end.max(token.end),
                parts: waiting.take().unwrap_or(part)..part + 1,
                is_punctuation: false,
            });
        }
    }
    if let Some(part) = waiting {
        close(&mut words, part, sources);
    }
    for word in &mut words {
        word.is_punctuation = text[word.span.clone()].chars().all(is_punctuation);
    }
    words
}

type Segments<'a> = std::iter::Peekable<unicode_segmentation::UWordBoundIndices<'a>>;

/// Where the segment begins that holds this byte.
fn segment_start(segments: &mut Segments<'_>, byte: usize) -> usize {
    while segments
        .next_if(|(start, segment)| start + segment.len() <= byte)
        .is_some()
    {}
    segments.peek().map_or(byte, |(start, _)| *start)
}

/// Where the segment ends that holds the byte before `end`.
fn segment_end(segments: &mut Segments<'_>, end: usize) -> usize {
    while segments
        .next_if(|(start, segment)| start + segment.len() < end)
        .is_some()
    {}
    segments
        .peek()
        .map_or(end, |(start, segment)| start + segment.len())
}

/// Gives tokens of white space after the last word to it; where there is none, they are one.
fn close(words: &mut Vec<Word>, first: usize, sources: &[TokenSource]) {
    let own = |source: &TokenSource| matches!(source, TokenSource::Text(_));
    let end = sources.iter().rposition(own).map_or(first, |last| last + 1);
    match words.last_mut() {
        Some(word) => word.parts.end = end,
        None => words.push(Word {
            span: 0..0,
            parts: first..end,
            is_punctuation: false,
        }),
    }
}

/// Whether a character is punctuation or white space: ASCII's, and what is in Unicode's blocks of
/// punctuation.
fn is_punctuation(letter: char) -> bool {
    letter.is_ascii_punctuation()
        || letter.is_whitespace()
        || matches!(letter, '\u{2010}'..='\u{206f}' | '\u{3000}'..='\u{3003}' | '\u{3008}'..='\u{301f}')
        || matches!(
            letter,
            '¡' | '§' | '«' | '¶' | '·' | '»' | '¿' | '！' | '，' | '．' | '：' | '；' | '？'
        )
}

/// The pairs of words that add most to the cosine, the largest first; punctuation and pairs that add
/// nothing are left out. `contributions` are those of the words. `step` is called before each row.
///
/// # Errors
/// What `step` returns.
pub fn best_pairs<E>(
    contributions: &Contributions<'_>,
    words: [&[Word]; 2],
    limit: usize,
    mut step: impl FnMut() -> Result<(), E>,
) -> Result<Vec<WordPair>, E> {
    let mut pairs: Vec<WordPair> = Vec::new();
    for (left, word) in words[0].iter().enumerate() {
        step()?;
        if word.is_punctuation {
            continue;
        }
        let row = contributions.row(left).into_iter().enumerate();
        let row = row.map(|(right, contribution)| WordPair {
            left,
            right,
            contribution,
        });
        let counts =
            |pair: &WordPair| pair.contribution > 0.0 && !words[1][pair.right].is_punctuation;
        pairs.extend(row.filter(counts));
        if pairs.len() > limit + SPARE_PAIRS {
            keep_best(&mut pairs, limit);
        }
    }
    keep_best(&mut pairs, limit);
    Ok(pairs)
}

/// Of equals, those that come first in the texts stay first.
fn keep_best(pairs: &mut Vec<WordPair>, limit: usize) {
    pairs.sort_by(|a, b| b.contribution.total_cmp(&a.contribution));
    pairs.truncate(limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a text with these tokens between two special ones.
    fn made(text: &str, tokens: &[(usize, usize)]) -> Vec<(String, Range<usize>, bool)> {
        let special = || TokenSource::Special(String::new());
        let text_token = |(start, end): &(usize, usize)| TokenSource::Text(*start..*end);
        let tokens = tokens.iter().map(text_token);
        let sources: Vec<_> = std::iter::once(special())
            .chain(tokens)
            .chain([special()])
            .collect();
        let words = words(text, &sources).into_iter();
        words
            .map(|word| {
                let is_punctuation = word.is_punctuation;
                (text[word.span].to_owned(), word.parts, is_punctuation)
            })
            .collect()
    }

    fn word(text: &str, parts: Range<usize>) -> (String, Range<usize>, bool) {
        (text.to_owned(), parts, false)
    }

    fn mark(text: &str, parts: Range<usize>) -> (String, Range<usize>, bool) {
        (text.to_owned(), parts, true)
    }

    #[test]
    fn pieces_of_a_word_are_one_word_and_punctuation_stands_alone() {
        let words = made(
            "The sirens, 3.5",
            &[
                (0, 3),
                (4, 9),
                (9, 10),
                (10, 11),
                (12, 13),
                (13, 14),
                (14, 15),
            ],
        );
        assert_eq!(
            words,
            [
                word("The", 1..2),
                word("sirens", 2..4),
                mark(",", 4..5),
                word("3.5", 5..8)
            ]
        );
    }

    #[test]
    fn a_token_over_two_words_joins_them() {
        let words = made("New York is", &[(0, 8), (9, 11)]);
        assert_eq!(words, [word("New York", 1..2), word("is", 2..3)]);
        let words = made("ab cd ef", &[(0, 1), (1, 4), (4, 5), (6, 8)]);
        assert_eq!(words, [word("ab cd", 1..4), word("ef", 4..5)]);
    }

    #[test]
    fn tokens_of_one_character_are_one_word() {
        let text = "a 今日😀";
        let words = made(text, &[(0, 1), (2, 5), (5, 8), (8, 12), (8, 12)]);
        assert_eq!(
            words,
            [
                word("a", 1..2),
                word("今", 2..3),
                word("日", 3..4),
                word("😀", 4..6)
            ]
        );
    }

    #[test]
    fn every_token_is_in_one_word() {
        assert_eq!(
            made("a  b ", &[(0, 1), (1, 2), (3, 4), (4, 5)]),
            [word("a", 1..2), word("b", 2..5)]
        );
        assert_eq!(made("  ", &[(0, 2)]), [mark("", 1..2)]);
        assert_eq!(made("", &[(0, 0)]), [mark("", 1..2)]);
        assert_eq!(made("", &[]), []);
        // What is cut at the window is in no word, but a word stays whole.
        assert_eq!(made("sirens howl", &[(0, 3)]), [word("sirens", 1..2)]);
    }
}
