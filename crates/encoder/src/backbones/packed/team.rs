//! Threads that work on one thing together, with little delay between them.
//!
//! A forward pass of one short text takes about a millisecond and has dozens of points where all
//! threads must meet, so waiting is done by spinning, and a thread without work keeps spinning for
//! a moment before it sleeps. Two threads on one core would spin for each other: on a busy machine the system
//! wakes a thread where the one that woke it runs, and leaves both there for many milliseconds, even if all that
//! the other core does is work of a low priority. So a thread that finds itself on the caller's core leaves
//! it. Nothing here knows what is computed.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::cores;

/// Turns of a busy wait before the thread offers its core to others.
const SPINS: usize = 4096;
/// How long a thread without work stays awake: longer than the pause between two forward passes
/// of a busy encoder, too short to be seen as load.
const IDLE_SPIN: Duration = Duration::from_micros(100);

/// No core has this number.
const NO_CORE: usize = usize::MAX;

type Job<'a> = dyn Fn(&Member<'_>) + Sync + 'a;

/// A fixed number of threads; the caller of [`Team::run`] is one of them.
#[derive(Debug)]
pub(crate) struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// One thread's view of a job.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    rank: usize,
    size: usize,
    meeting: Option<&'a Meeting>,
}

impl Member<'_> {
    /// A team of one.
    pub(crate) const ALONE: Self = Self {
        rank: 0,
        size: 1,
        meeting: None,
    };

    /// Which of the threads this is, from 0.
    pub(crate) fn rank(&self) -> usize {
        self.rank
    }

    /// This thread's part of `items`.
    pub(crate) fn share(&self, items: usize) -> std::ops::Range<usize> {
        items * self.rank / self.size..items * (self.rank + 1) / self.size
    }

    /// Waits for the others; what they wrote before is seen after.
    pub(crate) fn meet(&self) {
        if let Some(meeting) = self.meeting {
            meeting.wait(self.size);
        }
    }
}

/// A barrier that can be used again and again.
#[derive(Debug, Default)]
struct Meeting {
    arrived: AtomicUsize,
    round: AtomicUsize,
    /// A thread has panicked and will not come.
    broken: AtomicBool,
}

impl Meeting {
    fn wait(&self, size: usize) {
        let round = self.round.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == size {
            self.arrived.store(0, Ordering::Relaxed);
            self.round.store(round.wrapping_add(1), Ordering::Release);
            return;
        }
        busy_wait(|| self.round.load(Ordering::Acquire) != round || self.is_broken());
        assert!(
            !self.is_broken(),
            "another thread of the forward pass panicked"
        );
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Shared {
    /// Counts jobs; a worker starts when it changes.
    jobs: AtomicUsize,
    /// The job at hand. Written only while no worker runs.
    job: JobCell,
    /// Workers that are not done with it.
    working: AtomicUsize,
    /// By worker, whether it sleeps and must be woken.
    asleep: Vec<AtomicBool>,
    meeting: Meeting,
    stop: AtomicBool,
    /// The core that the caller runs on, or [`NO_CORE`].
    core: AtomicUsize,
}

/// A job with its lifetime removed.
struct JobCell(UnsafeCell<Option<*const Job<'static>>>);

// SAFETY: `Team::run` writes the cell before it publishes a new job number and reads nothing;
// workers read it after they saw that number. The job itself is `Sync` and outlives its run.
unsafe impl Sync for JobCell {}
// SAFETY: as above.
unsafe impl Send for JobCell {}

impl std::fmt::Debug for JobCell {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JobCell")
    }
}

impl Team {
    /// Starts `size - 1` threads.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn new(size: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            jobs: AtomicUsize::new(0),
            job: JobCell(UnsafeCell::new(None)),
            working: AtomicUsize::new(0),
            asleep: (1..size).map(|_| AtomicBool::new(false)).collect(),
            meeting: Meeting::default(),
            stop: AtomicBool::new(false),
            core: AtomicUsize::new(NO_CORE),
        });
        let mut team = Self {
            shared,
            workers: Vec::new(),
        };
        for worker in 0..size.saturating_sub(1) {
            let shared = Arc::clone(&team.shared);
            let handle = thread::Builder::new()
                .name(format!("encoder-{}", worker + 1))
                .spawn(move || shared.work(worker))?;
            team.workers.push(handle);
        }
        Ok(team)
    }

    /// Threads, the caller's included.
    pub(crate) fn size(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `job` on all threads and returns when the last is done.
    ///
    /// # Panics
    /// When the job panics on any of them.
    pub(crate) fn run(&mut self, job: &Job<'_>) {
        if self.workers.is_empty() {
            return job(&Member::ALONE);
        }
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes, and this function does not return, nor unwind, before
        // all workers are done with the job.
        let job_forever = unsafe { std::mem::transmute::<&Job<'_>, *const Job<'static>>(job) };
        // SAFETY: no worker runs: `working` is 0 between two runs, and `&mut self` forbids a second
        // run at the same time.
        unsafe { *shared.job.0.get() = Some(job_forever) };
        shared.working.store(self.workers.len(), Ordering::Relaxed);
        let core = cores::current().unwrap_or(NO_CORE);
        shared.core.store(core, Ordering::Relaxed);
        shared.jobs.fetch_add(1, Ordering::SeqCst);
        self.wake();
        let own = catch_unwind(AssertUnwindSafe(|| job(&shared.member(0))));
        if own.is_err() {
            shared.meeting.broken.store(true, Ordering::Relaxed);
        }
        busy_wait(|| shared.working.load(Ordering::Acquire) == 0);
        let broken = shared.meeting.broken.swap(false, Ordering::Relaxed);
        shared.meeting.arrived.store(0, Ordering::Relaxed);
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(!broken, "a thread of the forward pass panicked");
    }

    fn wake(&self) {
        for (asleep, worker) in self.shared.asleep.iter().zip(&self.workers) {
            if asleep.load(Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.jobs.fetch_add(1, Ordering::SeqCst);
        self.wake();
        for worker in self.workers.drain(..) {
            // A worker ends by itself and its panics were reported by `run`.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn member(&self, rank: usize) -> Member<'_> {
        Member {
            rank,
            size: self.asleep.len() + 1,
            meeting: Some(&self.meeting),
        }
    }

    /// A worker's life.
    fn work(&self, worker: usize) {
        let mut seen = 0;
        loop {
            self.await_job(worker, seen);
            seen += 1;
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            self.leave_callers_core();
            // SAFETY: the new job number was published after the cell was written, and the job
            // lives until `working` is 0.
            let job = unsafe { (*self.job.0.get()).map(|job| &*job) };
            let outcome =
                job.map(|job| catch_unwind(AssertUnwindSafe(|| job(&self.member(worker + 1)))));
            if matches!(outcome, Some(Err(_))) {
                self.meeting.broken.store(true, Ordering::Relaxed);
            }
            self.working.fetch_sub(1, Ordering::Release);
        }
    }

    fn leave_callers_core(&self) {
        let core = self.core.load(Ordering::Relaxed);
        if cores::current() == Some(core) {
            cores::leave(core);
        }
    }

    /// Returns when more jobs than `seen` were published.
    fn await_job(&self, worker: usize, seen: usize) {
        let new_job = || self.jobs.load(Ordering::SeqCst) != seen;
        let since = Instant::now();
        while !new_job() {
            for _ in 0..64 {
                std::hint::spin_loop();
            }
            if since.elapsed() < IDLE_SPIN {
                continue;
            }
            self.asleep[worker].store(true, Ordering::SeqCst);
            // Whoever publishes after this line sees the flag and unparks.
            if !new_job() {
                thread::park();
            }
            self.asleep[worker].store(false, Ordering::SeqCst);
        }
    }
}

/// Spins until `done`, and after a while lets other threads run in between.
fn busy_wait(done: impl Fn() -> bool) {
    let mut turns = 0;
    while !done() {
        if turns < SPINS {
            std::hint::spin_loop();
            turns += 1;
        } else {
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_run_and_see_what_the_others_wrote_before_they_met() {
        let mut team = Team::new(3).unwrap();
        for round in 1..200 {
            let written: Vec<AtomicUsize> = (0..3).map(|_| AtomicUsize::new(0)).collect();
            let sums = AtomicUsize::new(0);
            team.run(&|member| {
                written[member.rank()].store(round, Ordering::Relaxed);
                member.meet();
                let sum = written.iter().map(|w| w.load(Ordering::Relaxed)).sum();
                member.meet();
                sums.fetch_add(sum, Ordering::Relaxed);
            });
            assert_eq!(sums.into_inner(), 9 * round);
        }
    }

    #[test]
    fn shares_cover_all_items_once() {
        let mut team = Team::new(4).unwrap();
        let counts: Vec<AtomicUsize> = (0..10).map(|_| AtomicUsize::new(0)).collect();
        team.run(&|member| {
            for item in member.share(counts.len()) {
                counts[item].fetch_add(1, Ordering::Relaxed);
            }
        });
        assert!(
            counts
                .iter()
                .all(|count| count.load(Ordering::Relaxed) == 1)
        );
    }

    #[test]
    fn a_panic_on_one_thread_reaches_the_caller_and_the_team_lives_on() {
        for culprit in 0..2 {
            let mut team = Team::new(2).unwrap();
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                team.run(&|member| {
                    assert_ne!(member.rank(), culprit, "on purpose");
                    member.meet();
                });
            }));
            assert!(outcome.is_err());
            let ran = AtomicUsize::new(0);
            team.run(&|member| {
                member.meet();
                ran.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(ran.into_inner(), 2);
        }
    }

    #[test]
    fn a_sleeping_team_wakes_up() {
        let mut team = Team::new(2).unwrap();
        let ran = AtomicUsize::new(0);
        for _ in 0..5 {
            thread::sleep(Duration::from_millis(2));
            team.run(&|_| {
                ran.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(ran.into_inner(), 10);
    }
}
