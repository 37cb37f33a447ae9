//! Numbers of settings that are not just any.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

/// Longest time in the settings of the server: a year. Clocks overflow somewhere beyond.
const MAX_TIME_MS: u64 = 365 * 24 * 60 * 60 * 1000;

/// A limit, which is never 0.
pub(super) fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    NonZeroUsize::deserialize(deserializer).map(NonZeroUsize::get)
}

/// A time in milliseconds that is not 0.
pub(super) fn time_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    bounded(NonZeroU64::deserialize(deserializer)?.get())
}

/// A time in milliseconds.
pub(super) fn any_time_ms<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    bounded(u64::deserialize(deserializer)?)
}

fn bounded<E: Error>(milliseconds: u64) -> Result<Duration, E> {
    if milliseconds > MAX_TIME_MS {
        let wanted = format!("at most {MAX_TIME_MS}");
        return Err(E::invalid_value(
            Unexpected::Unsigned(milliseconds),
            &wanted.as_str(),
        ));
    }
    Ok(Duration::from_millis(milliseconds))
}
