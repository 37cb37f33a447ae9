//! Where letters of a lower-cased text stood before.

use std::ops::Range;

/// Maps spans of the lower-cased text back to the text, counted in whatever a letter has `length` of: some letters
/// become longer or shorter, or several. What holds a part of a letter has all of it.
///
/// The length does not depend on the letters around: only a final sigma does, and both have two
/// bytes.
pub(super) fn undo_lower_case<'a>(
    text: &str,
    spans: impl Iterator<Item = &'a mut Range<usize>>,
    length: fn(char) -> usize,
) {
    // Of each place of the lower-cased text the letter that it belongs to, from where to where.
    let mut letters = Vec::with_capacity(text.len());
    let mut end = 0;
    for letter in text.chars() {
        let start = end;
        end += length(letter);
        let lowered = letter.to_lowercase().map(length).sum();
        letters.extend(std::iter::repeat_n((start, end), lowered));
    }
    let letter_at = |place: usize| letters.get(place).copied().unwrap_or((end, end));
    for span in spans {
        let (start, _) = letter_at(span.start);
        let last = span.end.checked_sub(1).filter(|last| *last >= span.start);
        *span = start..last.map_or(start, |last| letter_at(last).1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_a_lower_cased_text_are_those_of_the_text() {
        // The capital I with a dot has two bytes, its lower case three.
        let text = "aİb C";
        let lower = text.to_lowercase();
        let b = lower.find('b').unwrap();
        let mut spans = vec![0..1, 1..2, 1..b, b..b + 1, b + 2..b + 3];
        undo_lower_case(text, spans.iter_mut(), char::len_utf8);
        let words: Vec<_> = spans.into_iter().map(|span| &text[span]).collect();
        assert_eq!(words, ["a", "İ", "İ", "b", "C"]);
    }

    #[test]
    fn spans_that_are_counted_in_characters_are_those_of_the_text() {
        // In lower case it is two characters, an i and a dot.
        let mut spans = vec![0..2, 2..3, 3..3, 3..4];
        undo_lower_case("İb", spans.iter_mut(), |_| 1);
        assert_eq!(spans, [0..1, 1..2, 2..2, 2..2]);
    }
}
