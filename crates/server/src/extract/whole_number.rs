//! Whole numbers as JSON has them: 3 and 3.0 are the same number.

use serde::{Deserialize, Deserializer, de};

/// Reads an optional count.
///
/// # Errors
/// When the value is negative, has a fraction, is too large, or is no number.
pub(crate) fn whole_number<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let whole = number
        .as_u64()
        .or_else(|| number.as_f64().and_then(from_f64));
    let value = whole.and_then(|whole| T::try_from(whole).ok());
    let refused = || de::Error::custom(format_args!("{number} is not a whole number in range"));
    value.map(Some).ok_or_else(refused)
}

/// The number itself, if it is whole and every whole number up to it is one, too.
fn from_f64(number: f64) -> Option<u64> {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    let is_whole = number.fract() == 0.0 && (0.0..=LARGEST).contains(&number);
    is_whole.then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Option<u32>> {
        whole_number(&mut serde_json::Deserializer::from_str(json)).ok()
    }

    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        for (json, value) in [("3", 3), ("3.0", 3), ("2e2", 200), ("0.0", 0), ("-0.0", 0)] {
            assert_eq!(read(json), Some(Some(value)), "{json}");
        }
        assert_eq!(read("null"), Some(None));
    }

    #[test]
    fn everything_else_is_refused() {
        for json in ["-1", "0.5", "1e300", "4294967296", "\"3\"", "true", "[3]"] {
            assert_eq!(read(json), None, "{json}");
        }
    }
}
