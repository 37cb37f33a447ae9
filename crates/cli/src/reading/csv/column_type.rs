//! The type of a column: one for all of its values, so that filters find them all.

use serde_json::value::RawValue;

use crate::reading::document::raw;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnType {
    /// `true` and `false`, in any case.
    Boolean,
    /// Numbers, each as JSON can hold it without loss.
    Number,
    /// All else, as it is written.
    Text,
}

/// What the values of a column that have been seen could be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidates {
    boolean: bool,
    number: bool,
    any: bool,
}

impl Candidates {
    pub(super) const ALL: Self = Self {
        boolean: true,
        number: true,
        any: false,
    };

    /// Takes a value into account; an empty one is none.
    pub(super) fn see(&mut self, value: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        self.any = true;
        self.boolean &= boolean(value).is_some();
        self.number = self.number && is_number(value);
    }

    /// The narrowest type that all values have.
    pub(super) fn decided(self) -> ColumnType {
        match self {
            Self { any: false, .. } => ColumnType::Text,
            Self { boolean: true, .. } => ColumnType::Boolean,
            Self { number: true, .. } => ColumnType::Number,
            _ => ColumnType::Text,
        }
    }
}

impl ColumnType {
    /// The JSON of a value of the column; `None` of an empty one.
    pub(super) fn json(self, value: &str) -> Option<Box<RawValue>> {
        let trimmed = value.trim();
        if trimmed.is_empty() {
            return None;
        }
        match self {
            Self::Boolean => boolean(trimmed).map(|value| raw(&value)),
            // A number without leading zeros is JSON as it is written.
            Self::Number => RawValue::from_string(trimmed.to_owned()).ok(),
            Self::Text => Some(raw(&value)),
        }
        .or_else(|| Some(raw(&value)))
    }
}

fn boolean(value: &str) -> Option<bool> {
    if value.eq_ignore_ascii_case("true") {
        Some(true)
    } else if value.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Returns whether a value is a number and nothing but that: not a code with leading zeros (`007`, `01234`),
/// with a plus (`+49 30`) or that only looks like an exponent (`12E4`), and none that would change
/// when it is kept in 64 bits.
fn is_number(value: &str) -> bool {
    let Some(parts) = Parts::of(value) else {
        return false;
    };
    let leading_zero = parts.whole.len() > 1 && parts.whole.starts_with('0');
    let coded = parts
        .exponent
        .is_some_and(|exponent| parts.fraction.is_none() && !exponent.starts_with(['+', '-']));
    if leading_zero || coded {
        return false;
    }
    if parts.fraction.is_none() && parts.exponent.is_none() {
        return value != "-0" && (value.parse::<i64>().is_ok() || value.parse::<u64>().is_ok());
    }
    keeps_its_digits(value, &parts)
}

/// The parts of a JSON number, without its sign.
#[derive(Debug)]
struct Parts<'a> {
    whole: &'a str,
    fraction: Option<&'a str>,
    exponent: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(value: &'a str) -> Option<Self> {
        let unsigned = value.strip_prefix('-').unwrap_or(value);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let unsigned =
            exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
        let is_number = digits(whole) && fraction.is_none_or(digits) && unsigned.is_none_or(digits);
        is_number.then_some(Self {
            whole,
            fraction,
            exponent,
        })
    }
}

/// Returns whether 64 bits of floating point hold a number to its last digit. 15 digits always are.
fn keeps_its_digits(value: &str, parts: &Parts<'_>) -> bool {
    let Ok(number) = value.parse::<f64>() else {
        return false;
    };
    let digits = format!("{}{}", parts.whole, parts.fraction.unwrap_or_default());
    let significant = digits.trim_matches('0');
    if !number.is_finite() || (number == 0.0 && !significant.is_empty()) {
        return false;
    }
    // The shortest digits that mean this number; `1.5e3` is written `1.5e3`, 1500 as `1.5e3`, too.
    let kept = format!("{:e}", number.abs());
    let (kept, _) = kept.split_once('e').unwrap_or((&kept, ""));
    significant.len() <= 15 || kept.replace('.', "").trim_matches('0') == significant
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[&str]) -> (ColumnType, Vec<String>) {
        let mut candidates = Candidates::ALL;
        values.iter().for_each(|value| candidates.see(value));
        let decided = candidates.decided();
        let json = values.iter().filter_map(|value| decided.json(value));
        (decided, json.map(|json| json.get().to_owned()).collect())
    }

    #[test]
    fn a_column_has_one_type() {
        for (values, decided, json) in [
            (
                &["19.99", "19.90", "", "5"][..],
                ColumnType::Number,
                &["19.99", "19.90", "5"][..],
            ),
            (
                &["True", "true", "FALSE", ""],
                ColumnType::Boolean,
                &["true", "true", "false"],
            ),
            (&["1", "two"], ColumnType::Text, &["\"1\"", "\"two\""]),
            (&["true", "1"], ColumnType::Text, &["\"true\"", "\"1\""]),
            (
                &["12345", "01234"],
                ColumnType::Text,
                &["\"12345\"", "\"01234\""],
            ),
            (&["-1", " 2 ", "0"], ColumnType::Number, &["-1", "2", "0"]),
            (&["", " "], ColumnType::Text, &[]),
        ] {
            let json = json.iter().map(|json| (*json).to_owned()).collect();
            assert_eq!(column(values), (decided, json), "{values:?}");
        }
    }

    #[test]
    fn numbers_are_those_that_nothing_is_lost_of() {
        for value in [
            "0",
            "-7",
            "9007199254740993",
            "18446744073709551615",
            "-9223372036854775808",
            "0.1",
            "1.50",
            "100.00",
            "0.0",
            "-0.0",
            "1.5e-7",
            "1E+05",
            "3.14159",
            "123456789012345.0",
            "1.7976931348623157e308",
            "0.30000000000000004",
        ] {
            assert!(is_number(value), "{value}");
        }
        for value in [
            "007",
            "00",
            "-01",
            "+1",
            "1.",
            ".5",
            "1,5",
            "12E4",
            "0x10",
            "1e999",
            "1.0e-999",
            "NaN",
            "inf",
            "18446744073709551616",
            "-9223372036854775809",
            "0.12345678901234567890",
            "9007199254740993.5",
            "1 000",
            "-",
            "",
            "-0",
            "1.2.3",
            "2024-05-01",
            "1e",
            "12.5%",
        ] {
            assert!(!is_number(value), "{value}");
        }
    }
}
