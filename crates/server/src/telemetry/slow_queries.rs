//! A line in the log for each query that took long, with what its time went into.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::step::Step;
use super::timeline::Parts;

/// Lines in one second. When every query is slow, the log must not make them slower.
const MAX_LINES_PER_SECOND: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// The slow-query log.
#[derive(Debug)]
pub(crate) struct SlowQueries {
    min: Duration,
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Lines {
    second_began_at: Instant,
    in_second: u32,
    /// Slow queries since the last line that have none.
    left_out: u64,
}

/// A query that was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnsweredQuery<'a> {
    pub(crate) method: &'static str,
    /// The pattern of the route, which holds nothing of the request.
    pub(crate) route: &'a str,
    pub(crate) status: u16,
    pub(crate) took: Duration,
}

impl SlowQueries {
    /// Queries that take so long are logged.
    pub(crate) fn new(min: Duration) -> Self {
        Self {
            min,
            lines: Mutex::new(Lines {
                second_began_at: Instant::now(),
                in_second: 0,
                left_out: 0,
            }),
        }
    }

    /// Logs a query if it took long.
    pub(super) fn look_at(&self, query: AnsweredQuery<'_>, parts: &Parts) {
        if query.took < self.min {
            return;
        }
        let line = self.lines().take(Instant::now());
        if let Some(left_out) = line {
            log(query, parts, left_out);
        }
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// How many were left out before this line, if there is to be one.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.second_began_at) >= SECOND {
            self.second_began_at = now;
            self.in_second = 0;
        }
        if self.in_second >= MAX_LINES_PER_SECOND {
            self.left_out += 1;
            return None;
        }
        self.in_second += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// No text, no vector and no key: the span around it has the path and the id of the request.
fn log(query: AnsweredQuery<'_>, parts: &Parts, left_out: u64) {
    let AnsweredQuery {
        method,
        route,
        status,
        took,
    } = query;
    tracing::warn!(
        method,
        route,
        status,
        took_ms = ms(took),
        body_ms = ms(parts.sum(Step::Body)),
        tokenize_ms = ms(parts.sum(Step::Tokenize)),
        queue_ms = ms(parts.sum(Step::Queue)),
        encode_ms = ms(parts.sum(Step::Encode)),
        search_ms = ms(parts.sum(Step::Search)),
        rerank_ms = ms(parts.sum(Step::Rerank)),
        answer_ms = ms(parts.sum(Step::Answer)),
        left_out,
        "slow query"
    );
}

/// Milliseconds, to a hundredth.
fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e5).round() / 1e2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few_in_a_second_and_the_next_one_counts_what_was_left_out() {
        let log = SlowQueries::new(SECOND);
        let (mut lines, start) = (log.lines(), Instant::now());
        let taken = |lines: &mut Lines, at: Instant| {
            let taken = (0..15).filter(|_| lines.take(at) == Some(0));
            taken.count()
        };
        assert_eq!(taken(&mut lines, start), 10);
        assert_eq!(lines.take(start + SECOND), Some(5));
        assert_eq!(lines.take(start + SECOND), Some(0));
    }

    #[test]
    fn times_are_shown_to_a_hundredth_of_a_millisecond() {
        assert_eq!(ms(Duration::from_nanos(1_234_567)), 1.23);
    }
}
