//! Writing at a steady pace, until somebody says stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// The most documents a minute that a pace may ask for.
pub(super) const MAX_DOCUMENTS_PER_MINUTE: u64 = 10_000_000;

/// When the next batch of documents is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Time from one batch to the next.
    interval: Duration,
    documents_per_batch: usize,
}

impl Pace {
    /// Batches as fast as they are taken.
    pub(super) fn unbounded(documents_per_batch: usize) -> Self {
        Self {
            interval: Duration::ZERO,
            documents_per_batch,
        }
    }

    /// Batches that make up so many documents a minute.
    pub(super) fn per_minute(documents_per_minute: u64, documents_per_batch: usize) -> Self {
        let share_of_minute = documents_per_batch as f64 / documents_per_minute as f64;
        Self {
            interval: Duration::from_secs(60).mul_f64(share_of_minute),
            documents_per_batch,
        }
    }

    /// Has `write` write a batch at every interval until `stop`; it is told the number of documents
    /// before. A batch that took too long is made up for by those that follow. Returns how many
    /// documents were written.
    ///
    /// # Errors
    /// What `write` returns.
    pub(super) fn keep(
        &self,
        stop: &AtomicBool,
        mut write: impl FnMut(usize) -> Result<()>,
    ) -> Result<usize> {
        let mut due = Instant::now();
        let mut written = 0;
        while !stop.load(Ordering::Relaxed) {
            write(written)?;
            written += self.documents_per_batch;
            due += self.interval;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written_in_a_moment(pace: Pace) -> usize {
        let stop = AtomicBool::new(false);
        let since = Instant::now();
        let write = |_| {
            let is_over = since.elapsed() > Duration::from_millis(100);
            stop.store(is_over, Ordering::Relaxed);
            Ok(())
        };
        pace.keep(&stop, write).unwrap()
    }

    #[test]
    fn a_pace_is_kept_and_no_pace_goes_faster() {
        // Ten documents every twenty milliseconds.
        let paced = written_in_a_moment(Pace::per_minute(30_000, 10));
        assert!((30..=70).contains(&paced), "{paced}");
        assert!(written_in_a_moment(Pace::unbounded(10)) > 100);
    }

    #[test]
    fn each_batch_is_told_what_was_written_before() {
        let stop = AtomicBool::new(false);
        let mut told = Vec::new();
        let written = Pace::unbounded(8).keep(&stop, |before| {
            told.push(before);
            stop.store(before == 16, Ordering::Relaxed);
            Ok(())
        });
        assert_eq!((told, written.unwrap()), (vec![0, 8, 16], 24));
    }
}
