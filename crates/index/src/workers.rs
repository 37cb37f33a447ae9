//! Threads that share long arithmetic.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};

use crate::Error;

/// Threads that share long arithmetic.
#[derive(Debug, Clone, Copy)]
pub struct Workers {
    threads: NonZeroUsize,
    /// What threads of their own do first.
    on_start: Option<fn()>,
}

impl Workers {
    /// So many threads, one of which is the calling one.
    #[must_use]
    pub const fn new(threads: NonZeroUsize) -> Self {
        Self {
            threads,
            on_start: None,
        }
    }

    /// As many threads as the machine has cores, one of which is the calling one.
    #[must_use]
    pub fn on_all_cores() -> Self {
        Self::new(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// So many threads beside the calling one, which waits for them. Each calls `on_start` first, for
    /// example to take a low priority: it ends with the work, so it need not be able to take that back. While
    /// they work, they wait for nobody but each other, and nobody but the calling thread waits for them.
    #[must_use]
    pub const fn apart(threads: NonZeroUsize, on_start: fn()) -> Self {
        Self {
            threads,
            on_start: Some(on_start),
        }
    }

    /// Lets others have the core, if the threads are apart. A low priority does not do so by itself: where a thread that
    /// answers has used up its slice, Linux runs the one of low priority for a whole slice of its own, 4 ms.
    /// So whoever works asks after each tenth of a millisecond or so; it takes less than a microsecond.
    pub(crate) fn give_way(&self) {
        if self.on_start.is_some() {
            thread::yield_now();
        }
    }

    /// Computes something on one thread: the calling one, or one apart.
    ///
    /// # Errors
    /// When no thread can be started.
    ///
    /// # Panics
    /// When `compute` does.
    pub fn compute<T: Send>(&self, compute: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let Some(on_start) = self.on_start else {
            return Ok(compute());
        };
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("compute".to_owned());
            let thread = thread.spawn_scoped(scope, move || {
                on_start();
                compute()
            })?;
            joined(thread)
        })
    }

    /// Has every thread do the same, which takes from a common store until nothing is left.
    ///
    /// # Errors
    /// When a thread cannot be started.
    ///
    /// # Panics
    /// When `work` does.
    pub(crate) fn share(&self, work: impl Fn() + Sync) -> Result<(), Error> {
        let others = match self.on_start {
            Some(_) => self.threads.get(),
            None => self.threads.get() - 1,
        };
        let work_apart = || {
            self.on_start.inspect(|on_start| on_start());
            work();
        };
        thread::scope(|scope| {
            let threads = (0..others).map(|_| {
                let thread = thread::Builder::new().name("compute".to_owned());
                Ok(thread.spawn_scoped(scope, work_apart)?)
            });
            let threads: Vec<_> = threads.collect::<Result<_, Error>>()?;
            if self.on_start.is_none() {
                work();
            }
            threads.into_iter().try_for_each(joined)
        })
    }
}

/// What a thread returns. A panic goes on with its own message.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> Result<T, Error> {
    thread.join().map_or_else(|panic| resume_unwind(panic), Ok)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashSet;
    use std::sync::{Barrier, Mutex};
    use std::thread::ThreadId;

    use super::*;

    thread_local! {
        static HAS_STARTED: Cell<bool> = const { Cell::new(false) };
    }

    /// Which threads share work, and whether all of them had started as they should.
    fn sharing(workers: Workers) -> (HashSet<ThreadId>, bool) {
        let seen = Mutex::new(Vec::new());
        let all_here = Barrier::new(workers.threads.get());
        workers
            .share(|| {
                all_here.wait();
                let thread = (thread::current().id(), HAS_STARTED.get());
                seen.lock().unwrap().push(thread);
            })
            .unwrap();
        let seen = seen.into_inner().unwrap();
        let has_started = seen.iter().all(|(_, has_started)| *has_started);
        (seen.into_iter().map(|(id, _)| id).collect(), has_started)
    }

    #[test]
    fn the_calling_thread_works_unless_the_workers_are_apart() {
        let own = thread::current().id();
        let three = NonZeroUsize::new(3).unwrap();
        let (threads, _) = sharing(Workers::new(three));
        assert!(threads.len() == 3 && threads.contains(&own), "{threads:?}");
        let apart = Workers::apart(three, || HAS_STARTED.set(true));
        let (threads, has_started) = sharing(apart);
        assert!(threads.len() == 3 && !threads.contains(&own), "{threads:?}");
        assert!(has_started && !HAS_STARTED.get());
        assert!(apart.compute(|| HAS_STARTED.get()).unwrap());
        assert!(!Workers::new(three).compute(|| HAS_STARTED.get()).unwrap());
    }

    #[test]
    fn a_panic_of_one_thread_is_the_callers() {
        let apart = Workers::apart(NonZeroUsize::MIN, || {});
        let outcome = std::panic::catch_unwind(|| apart.share(|| panic!("of a worker")));
        let panic = outcome.unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"of a worker"));
    }
}
