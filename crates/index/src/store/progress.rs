//! How long calls into sled take, and which have not come back.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::lock;

/// Calls that have begun and not ended.
#[derive(Debug, Default)]
pub(super) struct Progress {
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    /// When each began, by its number.
    begun: BTreeMap<u64, Instant>,
    next: u64,
}

/// A call under way; it ends when this is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Call<'a> {
    progress: &'a Progress,
    number: u64,
}

impl Progress {
    /// Says that a call begins. It should take no longer than a step or a flush takes.
    pub(super) fn begin(&self) -> Call<'_> {
        let mut calls = lock(&self.calls);
        let number = calls.next;
        calls.next += 1;
        calls.begun.insert(number, Instant::now());
        Call {
            progress: self,
            number,
        }
    }

    /// For how long the oldest call has been under way; zero when there is none.
    pub(super) fn longest(&self) -> Duration {
        let calls = lock(&self.calls);
        let oldest = calls.begun.first_key_value();
        oldest.map_or(Duration::ZERO, |(_, begun)| begun.elapsed())
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        lock(&self.progress.calls).begun.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_call_counts_until_it_ends() {
        let progress = Progress::default();
        assert_eq!(progress.longest(), Duration::ZERO);
        let first = progress.begin();
        std::thread::sleep(Duration::from_millis(5));
        let second = progress.begin();
        assert!(progress.longest() >= Duration::from_millis(5));
        drop(first);
        assert!(progress.longest() < Duration::from_millis(5));
        drop(second);
        assert_eq!(progress.longest(), Duration::ZERO);
    }
}
