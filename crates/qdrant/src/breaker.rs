//! Nobody waits for a cluster that has just failed again and again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Calls in a row that fail before the next ones are refused at once.
const FAILURES_TO_OPEN: u32 = 5;
/// How long they are; then one call is made to see.
const OPEN_FOR: Duration = Duration::from_secs(1);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
    last_detail: String,
}

impl Breaker {
    /// Whether a call may be made at this moment; otherwise what the last one failed with.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), String> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.open_until {
            Some(until) if now < until => Err(state.last_detail.clone()),
            Some(_) => {
                // Others wait for what becomes of this one.
                state.open_until = Some(now + OPEN_FOR);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A node has answered, whatever it said.
    pub(crate) fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// No node has answered.
    pub(crate) fn failed(&self, detail: &str, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures = state.failures.saturating_add(1);
        detail.clone_into(&mut state.last_detail);
        if state.failures >= FAILURES_TO_OPEN {
            state.open_until = Some(now + OPEN_FOR);
        }
    }

    /// What keeps it open, if it is.
    pub(crate) fn trouble(&self) -> Option<String> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = state.failures >= FAILURES_TO_OPEN;
        is_open.then(|| state.last_detail.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_refused_after_failures_in_a_row_until_one_succeeds() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES_TO_OPEN {
            assert!(breaker.admit(start).is_ok());
            breaker.failed("nobody there", start);
        }
        assert_eq!(breaker.admit(start), Err("nobody there".to_owned()));
        assert_eq!(breaker.trouble().as_deref(), Some("nobody there"));
        let later = start + OPEN_FOR;
        assert!(breaker.admit(later).is_ok(), "one is let through to see");
        assert!(breaker.admit(later).is_err(), "and one only");
        breaker.answered();
        assert!(breaker.admit(later).is_ok() && breaker.trouble().is_none());
    }

    #[test]
    fn a_success_in_between_begins_the_count_anew() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES_TO_OPEN * 2 {
            breaker.failed("x", now);
            breaker.answered();
        }
        assert!(breaker.admit(now).is_ok());
    }
}
