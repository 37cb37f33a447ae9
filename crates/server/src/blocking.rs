//! Work that may block (disk, tokenizer, scan, parsing), off the async workers and bounded.
//!
//! A handler that is dropped, because its caller hung up or was answered 504, leaves its jobs behind
//! on their threads. So each job gets a [`Cancel`] that tells it, and takes with it what the request
//! holds of the budget for bodies. Long ones take turns, so that short ones do not wait for them.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::body_budget::held_share;
use crate::error::{ApiError, ErrorCode};
use crate::telemetry::{Clock, Step};
use crate::turns::{Next, Turns};

/// Jobs that may run at the same time; others wait, at most one or two for each of
/// `server.max_concurrent_requests`.
const MAX_JOBS: usize = 64;
/// Writes that may wait for the disk at the same time. They have room of their own, so that reads go
/// on while writes do not.
const MAX_WRITES: usize = 64;
/// Text that is tokenised in about a millisecond.
const MAX_SHORT_TEXT_BYTES: usize = 4 << 10;

static JOBS: Semaphore = Semaphore::const_new(MAX_JOBS);
static WRITES: Semaphore = Semaphore::const_new(MAX_WRITES);

/// Tells long work that nobody waits for it any more, and when to let others have their turn. Clones
/// are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(Arc<Job>);

#[derive(Debug, Default)]
struct Job {
    flag: siamese_index::Cancel,
    /// None of what is not a job of [`blocking_steps`].
    turns: Option<Turns>,
}

impl Cancel {
    fn with_turns(turns: Turns) -> Self {
        Self(Arc::new(Job {
            flag: siamese_index::Cancel::default(),
            turns: Some(turns),
        }))
    }

    /// Ends whatever looks at it.
    pub(crate) fn cancel(&self) {
        self.0.flag.cancel();
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.flag.is_cancelled()
    }

    /// What work of the index looks at, which knows of no turns.
    pub(crate) fn flag(&self) -> &siamese_index::Cancel {
        &self.0.flag
    }

    /// Ends work that nobody waits for any more.
    ///
    /// # Errors
    /// When nobody waits any more, so nobody reads the error.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        self.0.flag.check().map_err(|_| {
            let detail = "the caller has hung up, or has been answered already";
            ApiError::new(ErrorCode::Timeout, detail)
        })
    }

    /// Between two steps of a job, on its thread: lets others have their turn when it is time, and ends
    /// work that nobody waits for any more.
    ///
    /// # Errors
    /// As [`Self::check`], and 503 when too many long jobs wait.
    pub(crate) fn step(&self) -> Result<(), ApiError> {
        self.before(Next::Unknown)
    }

    /// As [`Self::step`], before one that is known to take long.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub(crate) fn long_step(&self) -> Result<(), ApiError> {
        self.before(Next::Long)
    }

    /// As [`Self::step`], before one that reads so many bytes of text: tokenising a long one takes long.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub(crate) fn step_over_text(&self, bytes: usize) -> Result<(), ApiError> {
        self.before(if bytes > MAX_SHORT_TEXT_BYTES {
            Next::Long
        } else {
            Next::Unknown
        })
    }

    fn before(&self, next: Next) -> Result<(), ApiError> {
        self.check()?;
        if let Some(turns) = &self.0.turns {
            turns.step(next)?;
        }
        self.check()
    }
}

/// A job on its thread, until it ends or panics.
struct Running<'a>(&'a Cancel);

impl<'a> Running<'a> {
    fn begin(job: &'a Cancel) -> Self {
        if let Some(turns) = &job.0.turns {
            turns.begin();
        }
        Self(job)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(turns) = &self.0.0.turns {
            turns.end();
        }
    }
}

/// Cancels when it is dropped, as part of a future that is given up.
#[derive(Debug)]
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs work that may block off the async workers.
///
/// # Errors
/// What the work returns; a panic in it is a 500.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ApiError> + Send + 'static,
{
    blocking_steps(move |_| work()).await
}

/// The same for work that is known to be long before it starts.
///
/// # Errors
/// As [`blocking`], and 503 when too many such jobs wait.
pub(crate) async fn blocking_long<T, F>(work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ApiError> + Send + 'static,
{
    run(Turns::of_long().await?, move |_| work()).await
}

/// The same for work in several steps, which asks between them whether to go on.
///
/// # Errors
/// As [`blocking`], and 503 when too many jobs turn out to be long.
pub(crate) async fn blocking_steps<T, F>(work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce(&Cancel) -> Result<T, ApiError> + Send + 'static,
{
    run_in(&JOBS, work).await
}

/// The same for writes to the index.
///
/// # Errors
/// As [`blocking`].
pub(crate) async fn blocking_write<T, F>(work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ApiError> + Send + 'static,
{
    let _clock = Clock::start(Step::Write);
    run_in(&WRITES, move |_| work()).await
}

async fn run_in<T, F>(room: &'static Semaphore, work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce(&Cancel) -> Result<T, ApiError> + Send + 'static,
{
    let place = room.acquire().await.map_err(ApiError::internal)?;
    run(Turns::of_short(place), work).await
}

async fn run<T, F>(turns: Turns, work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce(&Cancel) -> Result<T, ApiError> + Send + 'static,
{
    let (span, share) = (tracing::Span::current(), held_share());
    let cancel = Cancel::with_turns(turns);
    let given_up = CancelOnDrop(cancel.clone());
    let job = tokio::task::spawn_blocking(move || {
        // Both are given back when the work is done, not when nobody waits for it any more.
        let _held = (Running::begin(&cancel), share);
        cancel.check()?;
        span.in_scope(|| work(&cancel))
    });
    let outcome = job.await;
    drop(given_up);
    match outcome {
        Ok(outcome) => outcome,
        Err(error) => Err(ApiError::internal(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn work_in_steps_learns_that_nobody_waits_for_it() {
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (ended, has_ended) = mpsc::channel();
        let job = tokio::spawn(blocking_steps(move |cancel| {
            started.send(()).unwrap();
            while !cancel.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            ended.send(cancel.check().is_err()).unwrap();
            Ok(())
        }));
        has_started.await.unwrap();
        job.abort();
        assert!(job.await.is_err());
        assert!(has_ended.recv_timeout(LONG).unwrap());
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_caller_alone() {
        let failed = blocking(|| -> Result<(), ApiError> { panic!("on purpose") }).await;
        assert_eq!(failed.unwrap_err().code(), ErrorCode::Internal);
        assert_eq!(blocking(|| Ok(1)).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn no_more_jobs_run_than_there_is_room_for_and_a_waiting_one_can_be_given_up() {
        static ROOM: Semaphore = Semaphore::const_new(1);
        let (release, released) = mpsc::channel::<()>();
        let first = tokio::spawn(run_in(&ROOM, move |_| {
            Ok(released.recv_timeout(LONG).is_ok())
        }));
        while ROOM.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let second = tokio::spawn(run_in(&ROOM, |_| Ok(())));
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        second.abort();
        release.send(()).unwrap();
        assert!(first.await.unwrap().unwrap());
        assert!(run_in(&ROOM, |_| Ok(())).await.is_ok());
    }
}
