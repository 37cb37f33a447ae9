//! JSON numbers in their exact order.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// A number of JSON, compared by its exact value: 1 equals 1.0, and every 64-bit integer differs
/// from its neighbours, also beyond 2^53.
///
/// It is kept as the nearest f64 and what that is off by. Rounding to the nearest never changes
/// the order of two numbers, so the pair sorts as the numbers do.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    /// Finite, and never -0.0.
    nearest: f64,
    /// The number is `nearest + off_by`. Not 0 for integers beyond 2^53 only; the f64 nearest to
    /// a 64-bit integer is at most 1024 away.
    off_by: i16,
}

/// Beyond this the nearest f64 of a 64-bit integer cannot lie.
const MAX_INTEGER: f64 = 18_446_744_073_709_551_616.0;

impl Number {
    /// The number of a JSON value. JSON numbers that are no 64-bit integers are f64.
    pub(crate) fn of(number: &serde_json::Number) -> Self {
        let integer = number.as_i64().map(i128::from);
        match integer.or_else(|| number.as_u64().map(i128::from)) {
            Some(integer) => Self::of_integer(integer),
            None => Self::from(number.as_f64().unwrap_or_default()),
        }
    }

    fn of_integer(integer: i128) -> Self {
        let nearest = integer as f64;
        Self {
            nearest,
            off_by: (integer - nearest as i128) as i16,
        }
    }

    /// The number, if it is an integer of at most 65 bits.
    pub fn as_integer(&self) -> Option<i128> {
        let is_integer = self.nearest.fract() == 0.0 && self.nearest.abs() <= MAX_INTEGER;
        is_integer.then(|| self.nearest as i128 + i128::from(self.off_by))
    }

    /// The nearest f64.
    pub fn as_f64(&self) -> f64 {
        self.nearest
    }
}

impl From<i64> for Number {
    fn from(integer: i64) -> Self {
        Self::of_integer(integer.into())
    }
}

impl From<u64> for Number {
    fn from(integer: u64) -> Self {
        Self::of_integer(integer.into())
    }
}

/// Values that are not finite, which JSON does not have, become 0.
impl From<f64> for Number {
    fn from(value: f64) -> Self {
        let nearest = if value.is_finite() { value + 0.0 } else { 0.0 };
        Self { nearest, off_by: 0 }
    }
}

impl Hash for Number {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.nearest.to_bits(), self.off_by).hash(hasher);
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_nearest = self.nearest.total_cmp(&other.nearest);
        by_nearest.then(self.off_by.cmp(&other.off_by))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(json: &str) -> Number {
        Number::of(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn equal_numbers_are_equal_however_they_are_written() {
        for (left, right) in [
            ("1", "1.0"),
            ("0", "-0.0"),
            ("100", "1e2"),
            ("9007199254740992", "9007199254740992.0"),
        ] {
            assert_eq!(number(left), number(right), "{left} {right}");
        }
    }

    #[test]
    fn large_integers_differ_from_their_neighbours() {
        let ascending = [
            "-9223372036854775808",
            "-9223372036854775807",
            "-9007199254740993",
            "-9007199254740992",
            "9007199254740992",
            "9007199254740993",
            "9007199254740993.5",
            "18446744073709551614",
            "18446744073709551615",
            "18446744073709551616",
            "1e300",
        ];
        for pair in ascending.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        }
    }

    proptest! {
        #[test]
        fn integers_sort_and_come_back_exactly(left in any::<i64>(), right in any::<u64>()) {
            let (small, large) = (Number::from(left), Number::from(right));
            prop_assert_eq!(small.as_integer(), Some(left.into()));
            prop_assert_eq!(large.as_integer(), Some(right.into()));
            prop_assert_eq!(small.cmp(&large), i128::from(left).cmp(&right.into()));
        }
    }
}
