//! What a field is asked.

use super::walk::Found;
use super::{Scalar, ScalarRef, Timestamp};

/// A condition on the values at one path. It is met when any of them meets it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Condition {
    /// There is something, be it null, an empty array or an object.
    Exists,
    /// A value equals one of these. Ascending, without repetition: made by [`Condition::one_of`].
    OneOf(Vec<Scalar>),
    /// A value of the same type, number or text, compares like this with the one given.
    Compares(Comparison, Scalar),
    /// A text that stands by itself contains this text, or an array has this element.
    Contains(Scalar),
    /// A text begins with this one.
    Prefix(String),
    /// A text names one of these moments. Ascending: made by [`Condition::one_of_moments`].
    AtOneOf(Vec<Timestamp>),
    /// A text names a moment that compares like this with the one given.
    ComparesMoment(Comparison, Timestamp),
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Greater.
    Greater,
    /// Greater or equal.
    AtLeast,
    /// Less.
    Less,
    /// Less or equal.
    AtMost,
}

impl Condition {
    /// A value equals one of these.
    pub fn one_of(values: impl IntoIterator<Item = Scalar>) -> Self {
        let mut values: Vec<Scalar> = values.into_iter().collect();
        values.sort_unstable();
        values.dedup();
        Self::OneOf(values)
    }

    /// A text names one of these moments.
    pub fn one_of_moments(moments: impl IntoIterator<Item = Timestamp>) -> Self {
        let mut moments: Vec<Timestamp> = moments.into_iter().collect();
        moments.sort_unstable();
        moments.dedup();
        Self::AtOneOf(moments)
    }

    pub(crate) fn accepts(&self, found: Found<'_>) -> bool {
        match (self, found) {
            (Self::Exists, found) => found == Found::Field,
            (Self::Contains(Scalar::Text(part)), Found::Bare(ScalarRef::Text(text))) => {
                text.contains(&**part)
            }
            (_, Found::Field) | (Self::Contains(_), Found::Bare(_)) => false,
            (Self::Contains(wanted), Found::Element(value)) => wanted.by_ref() == value,
            (_, Found::Bare(value) | Found::Element(value)) => self.accepts_value(value),
        }
    }

    /// Conditions to which it is the same whether a value stands in an array.
    fn accepts_value(&self, value: ScalarRef<'_>) -> bool {
        match (self, value) {
            (Self::OneOf(values), _) => values
                .binary_search_by(|wanted| wanted.by_ref().cmp(&value))
                .is_ok(),
            (Self::Compares(comparison, limit), _) => comparison.holds(value, limit.by_ref()),
            (Self::Prefix(prefix), ScalarRef::Text(text)) => text.starts_with(prefix),
            (Self::AtOneOf(moments), ScalarRef::Text(text)) => {
                Timestamp::parse(text).is_ok_and(|moment| moments.binary_search(&moment).is_ok())
            }
            (Self::ComparesMoment(comparison, limit), ScalarRef::Text(text)) => {
                Timestamp::parse(text).is_ok_and(|moment| comparison.accepts(moment.cmp(limit)))
            }
            _ => false,
        }
    }
}

impl Comparison {
    pub(crate) fn accepts(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Greater => ordering.is_gt(),
            Self::AtLeast => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::AtMost => ordering.is_le(),
        }
    }

    /// Comparisons never cross types.
    fn holds(self, value: ScalarRef<'_>, limit: ScalarRef<'_>) -> bool {
        let comparable = matches!(
            (value, limit),
            (ScalarRef::Number(_), ScalarRef::Number(_)) | (ScalarRef::Text(_), ScalarRef::Text(_))
        );
        comparable && self.accepts(value.cmp(&limit))
    }
}
