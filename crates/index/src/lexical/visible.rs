//! A text without what nobody sees.

use std::borrow::Cow;
use std::ops::Range;

use icu_properties::props::{DefaultIgnorableCodePoint, Script};
use icu_properties::{CodePointMapData, CodePointSetData};

/// In Persian this stands between the parts of a word, as a hyphen does elsewhere.
const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
/// Marks around annotations, which Unicode does not count among what may be ignored.
const ANNOTATION_MARKS: std::ops::RangeInclusive<char> = '\u{fff9}'..='\u{fffb}';

/// A text without soft hyphens, zero-width characters, direction marks, variation selectors and the
/// like. It knows where everything stood.
#[derive(Debug)]
pub(super) struct Visible<'a> {
    text: Cow<'a, str>,
    gaps: Vec<Gap>,
}

/// A place where something was left out.
#[derive(Debug)]
struct Gap {
    place: usize,
    /// Bytes that were left out up to here.
    left_out: usize,
}

impl<'a> Visible<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        if text.is_ascii() || !text.contains(is_ignorable) {
            return Self {
                text: Cow::Borrowed(text),
                gaps: Vec::new(),
            };
        }
        let mut visible = String::with_capacity(text.len());
        let (mut gaps, mut left_out) = (Vec::<Gap>::new(), 0);
        for char in text.chars() {
            if !is_ignorable(char) || is_joint(char, &visible) {
                visible.push(char);
                continue;
            }
            left_out += char.len_utf8();
            let place = visible.len();
            match gaps.last_mut().filter(|gap| gap.place == place) {
                Some(gap) => gap.left_out = left_out,
                None => gaps.push(Gap { place, left_out }),
            }
        }
        Self {
            text: Cow::Owned(visible),
            gaps,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where a part of the visible text stands in the whole one.
    pub(super) fn original(&self, range: Range<usize>) -> Range<usize> {
        let before = |gaps: usize| {
            let gap = gaps.checked_sub(1).map(|last| &self.gaps[last]);
            gap.map_or(0, |gap| gap.left_out)
        };
        let until_start = self.gaps.partition_point(|gap| gap.place <= range.start);
        let until_end = self.gaps.partition_point(|gap| gap.place < range.end);
        range.start + before(until_start)..range.end + before(until_end)
    }
}

fn is_ignorable(char: char) -> bool {
    !char.is_ascii()
        && (CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(char)
            || ANNOTATION_MARKS.contains(&char))
}

fn is_joint(char: char, before: &str) -> bool {
    let script = CodePointMapData::<Script>::new();
    char == ZERO_WIDTH_NON_JOINER
        && before
            .chars()
            .next_back()
            .is_some_and(|last| script.get(last) == Script::Arabic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_left_out_and_places_stay_known() {
        let text = "\u{feff}pass\u{200b}\u{ad}word\u{2060} \u{202e}x\u{fe0f}\u{200e}y";
        let visible = Visible::of(text);
        assert_eq!(visible.text(), "password xy");
        for (range, expected) in [
            (0..8, "pass\u{200b}\u{ad}word"),
            (4..8, "word"),
            (0..4, "pass"),
            (9..11, "x\u{fe0f}\u{200e}y"),
            (8..9, " "),
        ] {
            assert_eq!(&text[visible.original(range)], expected);
        }
    }

    #[test]
    fn a_non_joiner_stays_where_it_parts_a_word() {
        assert_eq!(Visible::of("می\u{200c}خواهم").text(), "می\u{200c}خواهم");
        assert_eq!(Visible::of("a\u{200c}b").text(), "ab");
        assert_eq!(Visible::of("\u{200c}").text(), "");
    }
}
