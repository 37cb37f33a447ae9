//! On which core a thread runs.

/// The core that the calling thread runs on; nothing where the system does not say.
#[cfg(target_os = "linux")]
pub(super) fn current() -> Option<usize> {
    // SAFETY: the call takes and keeps nothing.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn current() -> Option<usize> {
    None
}

/// Moves the calling thread to another core that it may run on, if there is one. It may come back: on which
/// cores it may run is afterwards as it was.
#[cfg(target_os = "linux")]
pub(super) fn leave(core: usize) {
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: a set of cores is plain bits, and none of them is the empty set.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if core >= 8 * size {
        return;
    }
    // SAFETY: the set is valid and of this size; 0 is the calling thread.
    if unsafe { libc::sched_getaffinity(0, size, &raw mut allowed) } != 0 {
        return;
    }
    let mut others = allowed;
    // SAFETY: the core is one of those that a set has room for.
    unsafe { libc::CPU_CLR(core, &mut others) };
    // SAFETY: as above. An empty set is refused, and then nothing has changed.
    if unsafe { libc::sched_setaffinity(0, size, &raw const others) } == 0 {
        // SAFETY: as above.
        unsafe { libc::sched_setaffinity(0, size, &raw const allowed) };
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn leave(_core: usize) {}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// The cores that the calling thread may run on, as the system writes them.
    fn allowed() -> String {
        let status = fs_err::read_to_string("/proc/thread-self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("Cpus_allowed:"));
        line.unwrap().to_owned()
    }

    #[test]
    fn a_thread_leaves_a_core_and_may_come_back() {
        let before = allowed();
        for _ in 0..100 {
            leave(current().unwrap());
            assert_eq!(allowed(), before);
        }
        leave(usize::MAX);
        assert_eq!(allowed(), before);
    }
}
