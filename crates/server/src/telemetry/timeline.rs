//! When the parts of a request's work began, and how long they took.
//!
//! Work happens far below the handlers, on several threads. The timeline is the task's, so that nobody passes it on;
//! what goes on on a thread of its own takes it along.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::step::Step;

/// Parts that are kept of one request. Further ones count in the sums.
const MAX_PARTS: usize = 64;

tokio::task_local! {
    static TIMELINE: Arc<Timeline>;
}

/// The timeline of the request that this task works for; none outside of requests, and where nobody is told.
pub(crate) fn timeline() -> Option<Arc<Timeline>> {
    TIMELINE.try_with(Arc::clone).ok()
}

/// What the time of one request goes into.
#[derive(Debug)]
pub(crate) struct Timeline {
    began_at: Instant,
    parts: Mutex<Parts>,
}

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) step: Step,
    /// Since the beginning of the request.
    pub(crate) after: Duration,
    pub(crate) took: Duration,
}

/// The parts so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    /// The first ones, in the order in which they ended.
    pub(crate) first: Vec<Part>,
    sums: [Duration; Step::ALL.len()],
}

impl Parts {
    /// The time of all parts of a kind together. Those that went on side by side count each.
    pub(crate) fn sum(&self, step: Step) -> Duration {
        self.sums[step as usize]
    }
}

impl Timeline {
    pub(crate) fn begin() -> Arc<Self> {
        Arc::new(Self {
            began_at: Instant::now(),
            parts: Mutex::default(),
        })
    }

    /// Runs the work on a request, whose parts are noted here.
    pub(crate) fn during<F: Future>(self: Arc<Self>, work: F) -> impl Future<Output = F::Output> {
        TIMELINE.scope(self, work)
    }

    /// Time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began_at.elapsed()
    }

    /// Notes a part of the work.
    pub(crate) fn note(&self, step: Step, began_at: Instant, took: Duration) {
        let mut parts = self.lock();
        parts.sums[step as usize] += took;
        if parts.first.len() < MAX_PARTS {
            parts.first.push(Part {
                step,
                after: began_at.saturating_duration_since(self.began_at),
                took,
            });
        }
    }

    /// All parts so far.
    pub(crate) fn parts(&self) -> Parts {
        self.lock().clone()
    }

    /// Between two statements the parts agree, whatever a panicking thread left behind.
    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Measures a part of the work, until it is dropped.
#[derive(Debug)]
pub(crate) struct Clock {
    timeline: Option<Arc<Timeline>>,
    step: Step,
    began_at: Instant,
}

impl Clock {
    /// Begins now, for the request of this task.
    pub(crate) fn start(step: Step) -> Self {
        Self::of(timeline().as_ref(), step)
    }

    /// Begins now, on a thread that has taken the timeline along.
    pub(crate) fn of(timeline: Option<&Arc<Timeline>>, step: Step) -> Self {
        Self {
            timeline: timeline.cloned(),
            step,
            began_at: Instant::now(),
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        if let Some(timeline) = &self.timeline {
            timeline.note(self.step, self.began_at, self.began_at.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_are_noted_for_the_request_of_the_task_and_a_bounded_number_is_kept() {
        drop(Clock::start(Step::Search));
        let timeline = Timeline::begin();
        let work = async {
            for _ in 0..100 {
                super::timeline().unwrap().note(
                    Step::Encode,
                    Instant::now(),
                    Duration::from_millis(2),
                );
            }
            drop(Clock::start(Step::Search));
        };
        Arc::clone(&timeline).during(work).await;
        let parts = timeline.parts();
        assert_eq!(parts.first.len(), MAX_PARTS);
        assert_eq!(parts.sum(Step::Encode), Duration::from_millis(200));
        assert!(parts.sum(Step::Search) > Duration::ZERO);
        assert_eq!(parts.sum(Step::Write), Duration::ZERO);
    }

    #[test]
    fn every_step_has_a_place_of_its_own_among_the_sums() {
        for (place, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, place);
        }
    }
}
