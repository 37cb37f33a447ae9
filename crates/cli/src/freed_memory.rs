//! What the system's allocator does with memory that the service has let go of.

/// Blocks over this are given back to the system as soon as they are free, bytes: bodies and answers, not what
/// goes through the encoder all the time.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_OVER_BYTES: libc::c_int = 1 << 20;
/// Heaps that threads share. glibc's own choice, eight for each core, keeps as many times what one request took.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAX_HEAPS: libc::c_int = 4;

/// Has freed memory given back to the system: after a burst of large requests a service that keeps it looks as if
/// it still needed it, and a limit of a container counts it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn give_back() {
    // SAFETY: `mallopt` takes two numbers and may be called at any time; here no other thread runs yet.
    let is_set = unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_OVER_BYTES) == 1
            && libc::mallopt(libc::M_ARENA_MAX, MAX_HEAPS) == 1
    };
    if !is_set {
        tracing::warn!("the allocator keeps memory that was freed");
    }
}

/// Other systems' allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}

/// Has freed memory kept for what is allocated next, for a process that computes with large tensors all the time:
/// the system would fill every one of them with zeros, page by page.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep() {
    /// Larger ones, such as derivatives of a whole table of words, would leave holes. The most that glibc takes.
    const MAPPED_OVER_BYTES: libc::c_int = 32 << 20;
    // SAFETY: as above.
    let is_set = unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_OVER_BYTES) == 1
            && libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX) == 1
            && libc::mallopt(libc::M_ARENA_MAX, 1) == 1
    };
    if !is_set {
        tracing::warn!("the allocator gives back memory that is needed again");
    }
}

/// Other systems' allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep() {}
