//! How long a thread runs at a time when there are more threads than cores.
//!
//! Linux schedules threads by virtual deadlines: who asks for short slices gets its share of the time in
//! more and smaller parts, and each of them sooner (Stoica and Abdel-Wahab, "Earliest Eligible Virtual
//! Deadline First", 1995). From 6.12 on a thread may choose its slice, without any privilege. Threads of the
//! policy `SCHED_IDLE` run when no other wants their core: one that wakes takes it at once, and does not wait
//! for the end of a slice or the next tick of the clock, which may be four milliseconds away.

use std::time::Duration;

/// The shortest that the system grants. What answers takes less at a time.
const PROMPT: Duration = Duration::from_micros(100);
/// Chosen by the system.
const BY_DEFAULT: Duration = Duration::ZERO;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
const THIS_THREAD: libc::pid_t = 0;

/// The present thread waits most of the time, and what it does is waited for.
pub(crate) fn prefer_promptness() {
    set(PROMPT);
}

/// The present thread will run for long, and need not begin at once.
pub(crate) fn prefer_throughput() {
    set(BY_DEFAULT);
}

/// The present thread will run only when no other wants its core. The system lets a thread without privileges
/// not take that back, so it is for threads that end with their work; and since it may be stopped for long at
/// any moment, for those that then hold nothing that others wait for.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn run_when_idle() {
    let without_priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: the call reads the structure before it returns.
    let outcome = unsafe {
        libc::sched_setscheduler(THIS_THREAD, libc::SCHED_IDLE, &raw const without_priority)
    };
    if outcome != 0 {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "background arithmetic keeps its usual priority");
    }
}

/// Sets the slice of the present thread, and leaves everything else about it as it is. An older system
/// takes no notice; one that refuses is left alone, since only waiting times depend on it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn set(slice: Duration) {
    let Some(mut attributes) = attributes() else {
        return;
    };
    // Slices of other policies mean something else.
    if attributes.sched_policy != libc::SCHED_OTHER as u32 {
        return;
    }
    attributes.sched_runtime = slice.as_nanos() as u64;
    attributes.sched_flags = 0;
    // SAFETY: the call reads the structure, whose size it contains, before it returns.
    unsafe {
        libc::syscall(
            libc::SYS_sched_setattr,
            THIS_THREAD,
            &raw const attributes,
            0,
        )
    };
}

/// How the present thread is scheduled.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn attributes() -> Option<libc::sched_attr> {
    let size = size_of::<libc::sched_attr>() as u32;
    // SAFETY: the structure consists of integers, for which zero is a value.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes at most `size` bytes to a structure that lives until it returns.
    let got = unsafe {
        let attributes = &raw mut attributes;
        libc::syscall(libc::SYS_sched_getattr, THIS_THREAD, attributes, size, 0)
    };
    (got == 0).then_some(attributes)
}

/// Other systems decide for themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn set(_: Duration) {}

/// Other systems have no such policy that every thread may take.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn run_when_idle() {}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gets_the_slice_that_it_asks_for_and_keeps_its_niceness() {
        let thread = std::thread::spawn(|| {
            rustix::process::setpriority_process(None, 7).unwrap();
            let before = attributes().unwrap();
            prefer_promptness();
            let prompt = attributes().unwrap();
            prefer_throughput();
            (before, prompt, attributes().unwrap())
        });
        let (before, prompt, after) = thread.join().unwrap();
        assert_eq!((prompt.sched_nice, prompt.sched_policy), (7, 0));
        assert_eq!(after.sched_runtime, before.sched_runtime);
        // Systems before 6.12 have no slices of threads.
        if before.sched_runtime != 0 {
            assert_eq!(prompt.sched_runtime, PROMPT.as_nanos() as u64);
        }
    }

    #[test]
    fn threads_of_jobs_run_when_no_other_wants_their_core_and_the_calling_thread_stays_as_it_is() {
        let policy = || attributes().unwrap().sched_policy;
        let of_worker = crate::jobs::JobRun::workers().compute(policy).unwrap();
        assert_eq!(of_worker, libc::SCHED_IDLE as u32);
        assert_eq!(policy(), libc::SCHED_OTHER as u32);
    }
}
