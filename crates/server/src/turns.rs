//! Turns of long work.
//!
//! Jobs are short or long, and nobody knows which before they are done. So each starts as a short one,
//! and beyond its first slice of time it goes on only when it has a turn. There are fewer turns than
//! cores, and they go round: whoever asks for little does not wait for those who ask for much, however
//! many they are. (Feedback scheduling with two levels: Corbató, Merwin-Daggett and Daley, "An
//! experimental time-sharing system", 1962.)

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::ApiError;
use crate::thread_slice;

/// What a job may take before it counts as long.
const FIRST_SLICE: Duration = Duration::from_millis(1);
/// How long a turn lasts if others wait for one.
const SLICE: Duration = Duration::from_millis(5);
/// Long jobs that may have a turn or wait for one. Each of them keeps a thread, of which the runtime
/// has 512 for blocking work.
const MAX_LONG_JOBS: usize = 256;
/// What `Retry-After` says when there are more, seconds.
const RETRY_AFTER_S: u64 = 2;

static SCHEDULE: LazyLock<Schedule> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // One core is left for what is short, where there is more than one.
    Schedule::new(cores.saturating_sub(1).max(1), MAX_LONG_JOBS)
});

/// The turns that there are.
#[derive(Debug)]
struct Schedule {
    turns: Semaphore,
    long_jobs: Semaphore,
    max_long_jobs: usize,
}

/// A place among the jobs that may run.
pub(crate) type Place = SemaphorePermit<'static>;

/// What a job is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Something that is known to take long, so that a short job becomes a long one at once.
    Long,
    /// Anything.
    Unknown,
}

/// Where a job stands.
#[derive(Debug)]
enum Standing {
    /// Since then, in the place that it was let in with.
    Short(
        Instant,
        #[expect(dead_code, reason = "held until it is dropped")] Place,
    ),
    /// With a turn since then.
    Long(Instant, Long),
    /// Without a turn, for now or because it has ended.
    Without,
}

/// What a long job holds.
#[derive(Debug)]
struct Long {
    _turn: Place,
    job: Place,
}

/// The turns of one job.
#[derive(Debug)]
pub(crate) struct Turns {
    schedule: &'static Schedule,
    runtime: Handle,
    standing: Mutex<Standing>,
}

impl Schedule {
    const fn new(turns: usize, max_long_jobs: usize) -> Self {
        Self {
            turns: Semaphore::const_new(turns),
            long_jobs: Semaphore::const_new(max_long_jobs),
            max_long_jobs,
        }
    }

    async fn turn(&'static self) -> Result<Place, ApiError> {
        self.turns.acquire().await.map_err(ApiError::internal)
    }

    fn long_job(&'static self) -> Result<Place, ApiError> {
        self.long_jobs.try_acquire().map_err(|_| {
            let max = self.max_long_jobs;
            let detail = format!("{max} requests that take long are being worked on already");
            ApiError::overloaded(detail, RETRY_AFTER_S)
        })
    }
}

impl Turns {
    /// Of a job that may be short, and was let in with `place`.
    pub(crate) fn of_short(place: Place) -> Self {
        Self::of(&SCHEDULE, Standing::Short(Instant::now(), place))
    }

    /// Of a job that is known to be long; waits until it has a turn.
    ///
    /// # Errors
    /// 503 when too many long jobs wait.
    pub(crate) async fn of_long() -> Result<Self, ApiError> {
        Self::of_long_in(&SCHEDULE).await
    }

    async fn of_long_in(schedule: &'static Schedule) -> Result<Self, ApiError> {
        let job = schedule.long_job()?;
        let long = Long {
            _turn: schedule.turn().await?,
            job,
        };
        Ok(Self::of(schedule, Standing::Long(Instant::now(), long)))
    }

    fn of(schedule: &'static Schedule, standing: Standing) -> Self {
        Self {
            schedule,
            runtime: Handle::current(),
            standing: Mutex::new(standing),
        }
    }

    /// The job has its thread: its first slice begins now, however long it waited.
    pub(crate) fn begin(&self) {
        let mut standing = self.lock();
        if let Standing::Short(since, _) | Standing::Long(since, _) = &mut *standing {
            *since = Instant::now();
        }
        if matches!(*standing, Standing::Long(..)) {
            thread_slice::prefer_throughput();
        }
    }

    /// Called by the job between two of its steps, while it holds no lock that others need: lets others
    /// have their turn when it is time.
    ///
    /// # Errors
    /// 503 when too many long jobs wait.
    pub(crate) fn step(&self, next: Next) -> Result<(), ApiError> {
        let mut standing = self.lock();
        let is_over = match &*standing {
            Standing::Short(since, _) => next == Next::Long || since.elapsed() >= FIRST_SLICE,
            Standing::Long(since, _) => since.elapsed() >= SLICE,
            Standing::Without => false,
        };
        if !is_over {
            return Ok(());
        }
        // Whatever it has had is free for others before it waits.
        let job = match std::mem::replace(&mut *standing, Standing::Without) {
            Standing::Long(_, long) => long.job,
            Standing::Short(..) | Standing::Without => self.schedule.long_job()?,
        };
        let turn = self.runtime.block_on(self.schedule.turn())?;
        thread_slice::prefer_throughput();
        *standing = Standing::Long(Instant::now(), Long { _turn: turn, job });
        Ok(())
    }

    /// The job has ended, and leaves its place and its thread to others.
    pub(crate) fn end(&self) {
        if let Standing::Long(..) = std::mem::replace(&mut *self.lock(), Standing::Without) {
            thread_slice::prefer_promptness();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A job on a thread of its own that was let in by `room`.
    fn short(schedule: &'static Schedule, room: &'static Semaphore) -> Turns {
        let place = room.try_acquire().unwrap();
        Turns::of(schedule, Standing::Short(Instant::now(), place))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn long_jobs_go_one_by_one_and_leave_their_places_to_short_ones() {
        static SCHEDULE: Schedule = Schedule::new(1, 8);
        static ROOM: Semaphore = Semaphore::const_new(4);
        static AT_WORK: AtomicUsize = AtomicUsize::new(0);
        let job = || {
            let turns = short(&SCHEDULE, &ROOM);
            tokio::task::spawn_blocking(move || {
                turns.begin();
                for _ in 0..3 {
                    turns.step(Next::Long).unwrap();
                    assert_eq!(AT_WORK.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::sleep(SLICE);
                    AT_WORK.fetch_sub(1, Ordering::SeqCst);
                }
                turns.end();
            })
        };
        let jobs: Vec<_> = (0..4).map(|_| job()).collect();
        // All are long before the first has ended.
        while ROOM.available_permits() < 4 {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        assert!(SCHEDULE.long_jobs.available_permits() < 8);
        for job in jobs {
            job.await.unwrap();
        }
        assert_eq!(SCHEDULE.long_jobs.available_permits(), 8);
        assert_eq!(SCHEDULE.turns.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_job_keeps_its_place_for_its_first_slice() {
        static SCHEDULE: Schedule = Schedule::new(1, 1);
        static ROOM: Semaphore = Semaphore::const_new(1);
        let turns = Arc::new(short(&SCHEDULE, &ROOM));
        turns.begin();
        turns.step(Next::Unknown).unwrap();
        assert_eq!(ROOM.available_permits(), 0);
        let job = Arc::clone(&turns);
        tokio::task::spawn_blocking(move || {
            std::thread::sleep(FIRST_SLICE);
            job.step(Next::Unknown)
        })
        .await
        .unwrap()
        .unwrap();
        assert_eq!(ROOM.available_permits(), 1);
        assert_eq!(SCHEDULE.turns.available_permits(), 0);
        turns.end();
        assert_eq!(SCHEDULE.turns.available_permits(), 1);
    }

    #[tokio::test]
    async fn more_long_jobs_than_there_are_threads_for_are_refused() {
        static SCHEDULE: Schedule = Schedule::new(1, 1);
        let first = Turns::of_long_in(&SCHEDULE).await.unwrap();
        let refused = Turns::of_long_in(&SCHEDULE).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Overloaded);
        drop(first);
        Turns::of_long_in(&SCHEDULE).await.unwrap();
    }
}
