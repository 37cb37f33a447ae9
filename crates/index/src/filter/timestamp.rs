//! A moment that a string names.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::{Date, date};

/// A moment, to the nanosecond, whatever its zone was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Since 1970 in UTC.
    seconds: i64,
    nanoseconds: u32,
}

/// A text that names no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampError(());

impl fmt::Display for TimestampError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "not a date; one is written 2024-05-01T12:00:00+02:00, without a zone for UTC, or \
             2024-05-01 for its first moment",
        )
    }
}

impl std::error::Error for TimestampError {}

const SECONDS_PER_DAY: i64 = 86_400;
const EPOCH: Date = date(1970, 1, 1);
/// Digits of a fraction that count.
const FRACTION_DIGITS: usize = 9;
/// No moment takes more bytes to write.
const MAX_BYTES: usize = 64;

impl Timestamp {
    /// Reads a date of ISO 8601 in its extended form, with time and zone if it has them: `2024-05-01`,
    /// `2024-05-01T12:00`, `2024-05-01 12:00:00.5Z`, `2024-05-01T12:00:00,25+02:00`. Without a time it is the
    /// first moment of the day, without a zone it is in UTC. What is finer than a nanosecond does not count.
    ///
    /// # Errors
    /// [`TimestampError`] for any other text, and for days and times that there are not.
    ///
    /// ```
    /// use siamese_index::Timestamp;
    ///
    /// let noon = Timestamp::parse("2024-05-01T12:00:00+02:00")?;
    /// assert_eq!(noon, Timestamp::parse("2024-05-01 10:00:00.000Z")?);
    /// assert!(noon > Timestamp::parse("2024-05-01")?);
    /// assert!(Timestamp::parse("2023-02-29").is_err());
    /// # Ok::<(), siamese_index::TimestampError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let mut reader = Reader(text.as_bytes());
        let read = (text.len() <= MAX_BYTES)
            .then(|| reader.timestamp())
            .flatten();
        read.filter(|_| reader.0.is_empty())
            .ok_or(TimestampError(()))
    }

    /// Seconds since 1970, rounded down.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// What is added to them.
    pub fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// No text that names this moment or a later one sorts before this text.
    pub(crate) fn first_text(self) -> String {
        self.day_text(-1)
    }

    /// No text that names this moment or an earlier one sorts after this text.
    pub(crate) fn last_text(self) -> String {
        // A tilde sorts after whatever follows a day.
        self.day_text(1) + "~"
    }

    /// The day before or after; a zone is less than a day from UTC.
    fn day_text(self, days: i64) -> String {
        // Rounded down, as the days before 1970 count, too.
        let days = self.seconds.div_euclid(SECONDS_PER_DAY) + days;
        let day = EPOCH.saturating_add(SignedDuration::from_hours(24 * days));
        match day.year() {
            ..0 => "0000".to_owned(),
            _ => day.to_string(),
        }
    }
}

/// What is left of a text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn timestamp(&mut self) -> Option<Timestamp> {
        let year = self.number(4)?;
        self.take(b"-")?;
        let month = self.number(2)?;
        self.take(b"-")?;
        let day = self.number(2)?;
        let day = Date::new(year as i16, month as i8, day as i8).ok()?;
        let mut timestamp = Timestamp {
            seconds: day.duration_since(EPOCH).as_secs(),
            nanoseconds: 0,
        };
        if self.0.is_empty() {
            return Some(timestamp);
        }
        self.take(b"Tt ")?;
        timestamp.seconds += self.time()?;
        if self.take(b".,").is_some() {
            timestamp.nanoseconds = self.fraction()?;
        }
        timestamp.seconds -= self.zone()?;
        Some(timestamp)
    }

    /// Seconds since midnight. A leap second is the first of the next minute.
    fn time(&mut self) -> Option<i64> {
        let hour = self.number(2).filter(|hour| *hour < 24)?;
        self.take(b":")?;
        let minute = self.number(2).filter(|minute| *minute < 60)?;
        let second = match self.take(b":") {
            Some(_) => self.number(2).filter(|second| *second <= 60)?,
            None => 0,
        };
        Some((hour * 60 + minute) * 60 + second)
    }

    fn fraction(&mut self) -> Option<u32> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit());
        let digits = digits.count();
        let (fraction, rest) = self.0.split_at_checked(digits).filter(|_| digits > 0)?;
        self.0 = rest;
        let counted = fraction.iter().map(|digit| u32::from(digit - b'0'));
        let padded = counted.chain(std::iter::repeat(0)).take(FRACTION_DIGITS);
        Some(padded.fold(0, |value, digit| value * 10 + digit))
    }

    /// Seconds east of UTC.
    fn zone(&mut self) -> Option<i64> {
        self.take(b" ");
        if matches!(self.0, b"" | b"Z" | b"z" | b"UTC" | b"GMT") {
            self.0 = &[];
            return Some(0);
        }
        let sign = if self.take(b"+-")? == b'-' { -1 } else { 1 };
        let hours = self.number(2).filter(|hours| *hours < 24)?;
        self.take(b":");
        let minutes = match self.0.is_empty() {
            true => 0,
            false => self.number(2).filter(|minutes| *minutes < 60)?,
        };
        Some(sign * (hours * 60 + minutes) * 60)
    }

    fn take(&mut self, any: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        any.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        let is_number = number.iter().all(u8::is_ascii_digit);
        let digits = number
            .iter()
            .map(|digit| i64::from(digit.wrapping_sub(b'0')));
        is_number.then(|| digits.fold(0, |value, digit| value * 10 + digit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Option<Timestamp> {
        Timestamp::parse(text).ok()
    }

    #[test]
    fn a_moment_is_the_same_in_every_spelling() {
        for spelling in [
            "2024-05-01T12:00:00+02:00",
            "2024-05-01T12:00+02",
            "2024-05-01t10:00:00z",
            "2024-05-01 10:00:00",
            "2024-05-01 10:00:00 UTC",
            "2024-05-01 12:00:00 +0200",
            "2024-05-01T10:00:00.000000000000Z",
            "2024-05-01T10:00:00,0-00:00",
            "2024-04-30T23:30:00-10:30",
            "2024-05-02T09:59:00+23:59",
        ] {
            assert_eq!(
                parsed(spelling),
                parsed("2024-05-01T10:00:00Z"),
                "{spelling}"
            );
        }
        assert_eq!(parsed("2024-05-01"), parsed("2024-05-01T00:00:00Z"));
        assert_eq!(parsed("2016-12-31T23:59:60Z"), parsed("2017-01-01"));
        assert_eq!(
            parsed("1969-12-31T23:59:59.5Z"),
            parsed("1970-01-01T00:59:59.500+01:00")
        );
    }

    #[test]
    fn moments_have_an_order_down_to_nanoseconds_and_over_all_years() {
        let ascending = [
            "0000-01-01",
            "1969-12-31T23:59:59.999999999Z",
            "1970-01-01",
            "2024-05-01T10:00:00.1Z",
            "2024-05-01T10:00:00.100000001Z",
            "2024-05-01T10:00:00.11Z",
            "9999-12-31T23:59:59.999Z",
        ];
        for pair in ascending.windows(2) {
            assert!(
                parsed(pair[0]).unwrap() < parsed(pair[1]).unwrap(),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn other_texts_are_no_dates() {
        for text in [
            "",
            "2024",
            "2024-05",
            "20240501",
            "2024-13-01",
            "2024-02-30",
            "2023-02-29",
            "24-05-01",
            "2024-05-01T",
            "2024-05-01T24:00:00Z",
            "2024-05-01T10",
            "2024-05-01T10:60",
            "2024-05-01T10:00:00.Z",
            "2024-05-01T10:00:00+24:00",
            "2024-05-01T10:00:00+02:60",
            "2024-05-01T10:00:00+02:00x",
            "2024-05-01Z",
            " 2024-05-01",
            "2024-05-01 ",
            "2024-05-01T10:00:00ZZ",
            "2024-05-01T10:00:00ZUTC",
            "+2024-05-01",
            "-024-05-01",
            "２０２４-05-01",
            "yesterday",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
        assert!(parsed(&format!("2024-05-01T10:00:00.{}", "1".repeat(MAX_BYTES))).is_none());
    }

    #[test]
    fn days_before_1970_are_not_passed_over() {
        let text = "1940-08-22T23:00:00-21:00";
        let moment = parsed(text).unwrap();
        assert!(*text >= *moment.first_text() && *text <= *moment.last_text());
        assert_eq!(
            parsed("1969-12-31T12:00").unwrap().first_text(),
            "1969-12-30"
        );
    }

    proptest! {
        #[test]
        fn texts_of_later_moments_are_not_passed_over(
            seconds in -62_167_219_200..253_402_300_799_i64,
            hours in -23..24_i64,
            later in 0..200_000_i64,
        ) {
            let timestamp = Timestamp { seconds, nanoseconds: 0 };
            let text = |seconds: i64| {
                let local = EPOCH.to_datetime(jiff::civil::Time::midnight());
                let local = local.saturating_add(SignedDuration::from_secs(seconds + hours * 3600));
                format!("{local}{}{:02}:00", if hours < 0 { '-' } else { '+' }, hours.abs())
            };
            for (moment, text) in [(seconds + later, text(seconds + later)), (seconds - later, text(seconds - later))] {
                let Ok(parsed) = Timestamp::parse(&text) else { continue };
                prop_assert_eq!(parsed.seconds, moment);
                if moment >= seconds {
                    prop_assert!(text >= timestamp.first_text());
                }
                if moment <= seconds {
                    prop_assert!(text <= timestamp.last_text());
                }
            }
        }
    }
}
