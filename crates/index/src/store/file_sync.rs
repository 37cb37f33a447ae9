//! sled's `sync_file_range`, made into an fsync.
//!
//! sled 0.34 believes that what it has handed to `sync_file_range` would survive a power cut, and
//! then writes over the segments that held the state before. That call flushes neither the drive's
//! cache nor the file's length. sled calls it by its name in the C library; a function of the same
//! name in the program is found first by the linker, and this is it. Elsewhere than on Linux sled
//! calls fsync by itself.

#[cfg(target_os = "linux")]
pub(super) use linux::is_in_place;

/// Whether sled fsyncs what it writes.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_in_place() -> bool {
    true
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{c_int, c_uint};
    use std::fs::File;
    use std::mem::ManuallyDrop;
    use std::os::fd::{FromRawFd, RawFd};
    use std::sync::atomic::{AtomicBool, Ordering};

    static WAS_CALLED: AtomicBool = AtomicBool::new(false);

    /// Whether sled fsyncs what it writes: whether its calls come here. Asked after it has written.
    pub(crate) fn is_in_place() -> bool {
        WAS_CALLED.load(Ordering::Acquire)
    }

    /// Makes the whole content of a file survive a power cut; range and flags are not looked at.
    ///
    /// Returns 0, or -1 with `errno` set.
    ///
    /// # Safety
    /// `file` is open during the call.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn sync_file_range(
        file: RawFd,
        _offset: i64,
        _bytes: i64,
        _flags: c_uint,
    ) -> c_int {
        WAS_CALLED.store(true, Ordering::Release);
        // SAFETY: the file is open during the call, and stays open after it, since it is not
        // dropped.
        let file = ManuallyDrop::new(unsafe { File::from_raw_fd(file) });
        // A failure has left its number in `errno`.
        if file.sync_data().is_ok() { 0 } else { -1 }
    }
}
