//! Waiting times of many requests.

use std::time::Duration;

/// Waiting times, shortest first, and how many requests were not answered well.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies {
    sorted: Vec<Duration>,
    pub(crate) failures: usize,
}

impl Latencies {
    pub(crate) fn new(mut times: Vec<Duration>, failures: usize) -> Self {
        times.sort_unstable();
        Self {
            sorted: times,
            failures,
        }
    }

    /// The time within which this share of the requests was answered, in milliseconds.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let place = (self.sorted.len() as f64 * share).ceil() as usize;
        let time = self.sorted.get(place.saturating_sub(1));
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}
