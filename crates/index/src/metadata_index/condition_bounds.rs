//! One condition on the values at one path.

use super::bounds::Bounds;
use super::document_union::DocumentUnion;
use super::path_values::{MAX_INDEXED_TEXT_BYTES, PathValues, Postings};
use crate::filter::walk::Found;
use crate::filter::{Comparison, Condition, Number, Scalar, ScalarRef, Timestamp};

/// Whether a text passes of which only the beginning is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Yes,
    No,
    Perhaps,
}

impl PathValues {
    /// The documents of which a value meets the condition.
    pub(super) fn bounds(&self, condition: &Condition) -> Bounds {
        if matches!(condition, Condition::Exists) {
            return Bounds::exactly(self.documents.clone());
        }
        let (mut certain, mut undecided) = (DocumentUnion::default(), DocumentUnion::default());
        for (values, is_bare) in [(&self.bare, true), (&self.elements, false)] {
            add_whole(&mut certain, &values.whole, condition, is_bare);
            for (start, posting) in values.cut.iter() {
                match verdict(start, condition, is_bare) {
                    Verdict::Yes => certain.add(posting),
                    Verdict::Perhaps => undecided.add(posting),
                    Verdict::No => {}
                }
            }
        }
        let certain = certain.finish();
        let possible = &certain | undecided.finish();
        Bounds { certain, possible }
    }
}

fn add_whole<'a>(
    union: &mut DocumentUnion<'a>,
    postings: &'a Postings,
    condition: &Condition,
    is_bare: bool,
) {
    match condition {
        Condition::OneOf(wanted) => add_equal(union, postings, wanted),
        Condition::Contains(wanted) if !is_bare => {
            add_equal(union, postings, std::slice::from_ref(wanted));
        }
        Condition::Contains(Scalar::Null | Scalar::Bool(_) | Scalar::Number(_)) => {}
        _ => {
            let moments = TextsOfMoments::of(condition);
            let lowest = match &moments {
                Some(moments) => ScalarRef::Text(&moments.first),
                None => lowest(condition),
            };
            let is_past = |value| match &moments {
                Some(moments) => value > ScalarRef::Text(&moments.last),
                None => is_past(value, condition),
            };
            let candidates = postings
                .iter_from(|value| value.by_ref() < lowest)
                .take_while(|(value, _)| !is_past(value.by_ref()));
            for (value, posting) in candidates {
                if condition.accepts(Found::Bare(value.by_ref())) {
                    union.add(posting);
                }
            }
        }
    }
}

fn add_equal<'a>(union: &mut DocumentUnion<'a>, postings: &'a Postings, wanted: &[Scalar]) {
    for value in wanted {
        if let Some(posting) = postings.get(|other| other.cmp(value)) {
            union.add(posting);
        }
    }
}

/// The texts between which all dates that meet a condition stand. Dates sort by their days, but for their zones;
/// so few texts are read that name other moments, and no index of moments is kept.
struct TextsOfMoments {
    first: String,
    last: String,
}

impl TextsOfMoments {
    /// Nothing for conditions on anything else.
    fn of(condition: &Condition) -> Option<Self> {
        let (first, last) = match condition {
            Condition::AtOneOf(moments) => (moments.first().copied(), moments.last().copied()),
            Condition::ComparesMoment(Comparison::Greater | Comparison::AtLeast, limit) => {
                (Some(*limit), None)
            }
            Condition::ComparesMoment(_, limit) => (None, Some(*limit)),
            _ => return None,
        };
        Some(Self {
            first: first.map_or_else(|| "0".to_owned(), Timestamp::first_text),
            last: last.map_or_else(|| "9~".to_owned(), Timestamp::last_text),
        })
    }
}

/// No value below this one meets the condition.
fn lowest(condition: &Condition) -> ScalarRef<'_> {
    match condition {
        Condition::Compares(Comparison::Greater | Comparison::AtLeast, limit) => limit.by_ref(),
        Condition::Compares(_, Scalar::Number(_)) => ScalarRef::Number(Number::from(f64::MIN)),
        Condition::Prefix(prefix) => ScalarRef::Text(prefix),
        _ => ScalarRef::Text(""),
    }
}

/// Returns whether no value from this one on meets the condition.
fn is_past(value: ScalarRef<'_>, condition: &Condition) -> bool {
    match condition {
        Condition::Compares(Comparison::Less | Comparison::AtMost, limit) => value > limit.by_ref(),
        Condition::Compares(_, Scalar::Number(_)) => matches!(value, ScalarRef::Text(_)),
        Condition::Prefix(prefix) => {
            !matches!(value, ScalarRef::Text(text) if text.starts_with(prefix))
        }
        _ => false,
    }
}

/// What is known of a text that begins with `start`, goes on, and is longer than
/// [`MAX_INDEXED_TEXT_BYTES`].
fn verdict(start: &Scalar, condition: &Condition, is_bare: bool) -> Verdict {
    let Scalar::Text(start) = start else {
        return Verdict::No;
    };
    match condition {
        Condition::OneOf(wanted) => equals_any(start, wanted),
        Condition::Contains(Scalar::Text(part)) if is_bare => {
            if start.contains(&**part) {
                Verdict::Yes
            } else {
                Verdict::Perhaps
            }
        }
        Condition::Contains(wanted) if !is_bare => equals_any(start, std::slice::from_ref(wanted)),
        Condition::Compares(comparison, Scalar::Text(limit)) => compares(start, *comparison, limit),
        Condition::Prefix(prefix) => begins_with(start, prefix),
        _ => Verdict::No,
    }
}

fn equals_any(start: &str, wanted: &[Scalar]) -> Verdict {
    let first = wanted.partition_point(|value| value.by_ref() < ScalarRef::Text(start));
    let mut alike = wanted[first..].iter().map_while(|value| match value {
        Scalar::Text(text) if text.starts_with(start) => Some(text),
        _ => None,
    });
    if alike.any(|text| text.len() > MAX_INDEXED_TEXT_BYTES) {
        Verdict::Perhaps
    } else {
        Verdict::No
    }
}

fn compares(start: &str, comparison: Comparison, limit: &str) -> Verdict {
    if limit.len() > start.len() && limit.starts_with(start) {
        return Verdict::Perhaps;
    }
    // A text is greater than what it begins with.
    if comparison.accepts(start.cmp(limit).then(std::cmp::Ordering::Greater)) {
        Verdict::Yes
    } else {
        Verdict::No
    }
}

fn begins_with(start: &str, prefix: &str) -> Verdict {
    if start.starts_with(prefix) {
        Verdict::Yes
    } else if prefix.starts_with(start) {
        Verdict::Perhaps
    } else {
        Verdict::No
    }
}
