//! How fast bytes move while the service waits for the other side.

use std::time::{Duration, Instant};

/// What is too slow.
#[derive(Debug, Clone, Copy)]
pub(super) struct PaceLimit {
    /// Bytes that must move in each second of waiting.
    pub(super) min_bytes_per_second: u64,
    /// Waiting after which that is looked at, again and again.
    pub(super) window: Duration,
}

/// Whether the other side keeps up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does, or it is too early to tell; look again after this long.
    LookAgainIn(Duration),
    /// It does not.
    TooSlow,
}

/// Bytes and waiting in the present window. Only time spent waiting for the other side counts, so
/// that a service that is busy never blames its callers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    bytes: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
}

impl Pace {
    /// Counts bytes that have moved; waiting is over.
    pub(super) fn moved(&mut self, bytes: usize, now: Instant) {
        self.waited = self.waited(now);
        self.waiting_since = None;
        self.bytes += bytes as u64;
    }

    /// Waits from now on, unless it does already, and says whether that has become too long.
    pub(super) fn wait(&mut self, limit: &PaceLimit, now: Instant) -> Verdict {
        self.waiting_since.get_or_insert(now);
        let waited = self.waited(now);
        if waited < limit.window {
            return Verdict::LookAgainIn(limit.window - waited);
        }
        if self.bytes_per_second(now) < limit.min_bytes_per_second as f64 {
            return Verdict::TooSlow;
        }
        // The next window. What is left of this wait belongs to it, so that a stall is noticed
        // after one window at most.
        *self = Self {
            waiting_since: Some(now),
            ..Self::default()
        };
        Verdict::LookAgainIn(limit.window)
    }

    /// Whether the other side is being waited for, and has become too slow.
    pub(super) fn has_stalled(&mut self, limit: &PaceLimit, now: Instant) -> bool {
        self.waiting_since.is_some() && self.wait(limit, now) == Verdict::TooSlow
    }

    /// Returns the rate when it is being waited, and has been for a while, at less than `min_bytes_per_second`.
    pub(super) fn slower_than(
        &self,
        min_bytes_per_second: u64,
        after: Duration,
        now: Instant,
    ) -> Option<f64> {
        let waits = self.waiting_since.is_some() && self.waited(now) >= after;
        let rate = self.bytes_per_second(now);
        (waits && rate < min_bytes_per_second as f64).then_some(rate)
    }

    fn waited(&self, now: Instant) -> Duration {
        let present = self.waiting_since.map(|since| now.duration_since(since));
        self.waited + present.unwrap_or_default()
    }

    fn bytes_per_second(&self, now: Instant) -> f64 {
        self.bytes as f64 / self.waited(now).as_secs_f64().max(f64::EPSILON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: PaceLimit = PaceLimit {
        min_bytes_per_second: 100,
        window: Duration::from_secs(10),
    };

    /// Lets so many bytes come after each second of waiting. Returns the second in which that was
    /// too slow.
    fn too_slow_after(bytes_each_second: &[usize]) -> Option<usize> {
        let start = Instant::now();
        let mut pace = Pace::default();
        for (second, bytes) in bytes_each_second.iter().enumerate() {
            let now = start + Duration::from_secs(second as u64);
            pace.moved(*bytes, now);
            if pace.wait(&LIMIT, now) == Verdict::TooSlow {
                return Some(second);
            }
        }
        None
    }

    #[test]
    fn silence_and_a_trickle_are_too_slow_after_one_window() {
        assert_eq!(too_slow_after(&[0; 20]), Some(10));
        assert_eq!(too_slow_after(&[80; 20]), Some(10));
    }

    #[test]
    fn a_steady_sender_is_never_too_slow() {
        assert_eq!(too_slow_after(&[101; 100]), None);
    }

    #[test]
    fn a_fast_start_does_not_excuse_a_stall() {
        let mut seconds = [0; 40];
        seconds[0] = 100_000_000;
        assert!(too_slow_after(&seconds).is_some_and(|second| second <= 20));
    }

    #[test]
    fn time_in_which_the_service_itself_is_busy_does_not_count() {
        let start = Instant::now();
        let mut pace = Pace::default();
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            pace.wait(&LIMIT, now);
            pace.moved(1, now + Duration::from_millis(5));
        }
        let end = start + Duration::from_secs(100);
        assert!(matches!(pace.wait(&LIMIT, end), Verdict::LookAgainIn(_)));
    }

    #[test]
    fn only_who_is_waited_for_is_slow() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace::default();
        pace.wait(&LIMIT, start);
        assert_eq!(pace.slower_than(100, second, start), None);
        assert_eq!(pace.slower_than(100, second, start + second), Some(0.0));
        pace.moved(1, start + second);
        assert_eq!(pace.slower_than(100, second, start + second), None);
    }
}
