//! Moments on the wire.

/// A moment as RFC 3339 in UTC with milliseconds, from milliseconds since 1970.
pub(super) fn rfc3339(at_ms: u64) -> String {
    i64::try_from(at_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map(|moment| format!("{moment:.3}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn a_moment_has_milliseconds_and_is_in_utc() {
        assert_eq!(rfc3339(1_700_000_000_007), "2023-11-14T22:13:20.007Z");
    }
}
