//! The short form, which every test run has, and the full one.

use std::path::PathBuf;
use std::time::Duration;

/// Whether attacks are kept up, and times are asserted.
pub(crate) fn is_full() -> bool {
    std::env::var("SIAMESE_HOSTILE").is_ok_and(|form| form == "full")
}

/// The file that gets the table's lines as well, if one is named.
pub(crate) fn table() -> Option<PathBuf> {
    std::env::var_os("SIAMESE_HOSTILE_TABLE").map(PathBuf::from)
}

/// How long other callers are watched before an attack.
pub(crate) fn idle_time() -> Duration {
    short_or_full(Duration::from_millis(150), Duration::from_secs(5))
}

/// How long an attack is repeated, so that its figures are of many samples; in the short form it is
/// tried once.
pub(crate) fn repeat_time() -> Duration {
    short_or_full(Duration::ZERO, Duration::from_secs(6))
}

/// How long connections are held.
pub(crate) fn hold_time() -> Duration {
    short_or_full(Duration::from_millis(700), Duration::from_secs(6))
}

/// The one or the other.
pub(crate) fn short_or_full<T>(short: T, full: T) -> T {
    if is_full() { full } else { short }
}
