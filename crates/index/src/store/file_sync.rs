//! sled's `sync_file_range`, made into an fsync.
//!
//! sled 0.34 believes that what it has handed to `sync_file_range` would survive a power cut, and
//! then writes over the segments that held the state before. That call flushes neither the drive's
//! cache nor the file's length. sled calls it by its name in the C library; a function of the same
//! name in the program is found first by the linker, and this is it. Elsewhere than on Linux sled
//! calls fsync by itself.

use std::ffi::{c_int, c_uint};
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, RawFd};

/// Calls that came here.
#[cfg(test)]
pub(super) static CALLS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Makes the whole content of a file survive a power cut; range and flags are not looked at.
///
/// Returns 0, or -1 with `errno` set.
///
/// # Safety
/// `file` is open during the call.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sync_file_range(
    file: RawFd,
    _offset: i64,
    _bytes: i64,
    _flags: c_uint,
) -> c_int {
    #[cfg(test)]
    CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    // SAFETY: the file is open during the call, and stays open after it, since it is not dropped.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(file) });
    // A failure has left its number in `errno`.
    if file.sync_data().is_ok() { 0 } else { -1 }
}
