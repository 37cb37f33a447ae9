//! What sled takes for durable, made durable.
//!
//! sled 0.34 believes that what it has handed to `sync_file_range` would survive a power cut, and
//! then writes over the segments that held the state before. That call flushes neither the drive's
//! cache nor the file's length. Elsewhere than on Linux sled calls fsync by itself.
//!
//! When it opens a database, sled writes a snapshot, renames it, and then writes over the segments
//! that the snapshot does not need. A power cut that keeps the latter and not the new name leaves a
//! log that cannot be read back. So such a name is made durable before its rename returns.
//!
//! sled calls both functions by their names in the C library; a function of the same name in the
//! program is found first by the linker, and these are they. How a program is linked decides that, so
//! a scratch store shows it before the first store is opened.
//!
//! Elsewhere than on Linux nothing stands in for `rename`: see `docs/storage-format.md`.

use std::path::Path;

use crate::Error;

/// Refuses to go on in a program whose calls do not come here.
///
/// # Errors
/// [`Error::SyncNotInPlace`], or a scratch store beside `store` that cannot be written.
#[cfg(target_os = "linux")]
pub(super) fn check(store: &Path) -> Result<(), Error> {
    use super::engine::open_sled;
    if linux::were_called() {
        return Ok(());
    }
    let scratch = store.with_file_name(crate::data_folder::SCRATCH_FOLDER);
    crate::durable_files::remove_if_there(&scratch)?;
    // sled writes a snapshot when it opens a log with something in it.
    for _ in 0..2 {
        let db = open_sled(&scratch, SCRATCH_CACHE_BYTES)?;
        super::guard::guard(&scratch, || {
            db.insert("key", "value")?;
            db.flush()
        })?;
    }
    crate::durable_files::remove_if_there(&scratch)?;
    if linux::were_called() {
        Ok(())
    } else {
        Err(Error::SyncNotInPlace)
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn check(_store: &Path) -> Result<(), Error> {
    Ok(())
}

#[cfg(target_os = "linux")]
const SCRATCH_CACHE_BYTES: u64 = 1 << 20;

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{CStr, OsStr, c_char, c_int, c_uint};
    use std::fs::File;
    use std::mem::ManuallyDrop;
    use std::os::fd::{FromRawFd, RawFd};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::log_buffers;
    use crate::durable_files::{folder_of, fsync_folder};

    /// What the names of sled's snapshots begin with.
    const SNAPSHOT: &[u8] = b"snap.";
    /// Stands for the working directory, from fcntl.h.
    const AT_FDCWD: c_int = -100;

    unsafe extern "C" {
        fn renameat(
            old_folder: c_int,
            from: *const c_char,
            new_folder: c_int,
            to: *const c_char,
        ) -> c_int;
    }

    static WAS_SYNCED: AtomicBool = AtomicBool::new(false);
    static SNAPSHOT_WAS_RENAMED: AtomicBool = AtomicBool::new(false);

    /// Returns whether both functions have been called by sled.
    pub(super) fn were_called() -> bool {
        WAS_SYNCED.load(Ordering::Acquire) && SNAPSHOT_WAS_RENAMED.load(Ordering::Acquire)
    }

    /// Makes the whole content of a file survive a power cut; flags are not looked at.
    ///
    /// Returns 0, or -1 with `errno` set.
    ///
    /// # Safety
    /// `file` is open during the call.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn sync_file_range(
        file: RawFd,
        offset: i64,
        bytes: i64,
        _flags: c_uint,
    ) -> c_int {
        WAS_SYNCED.store(true, Ordering::Release);
        log_buffers::task_started();
        // SAFETY: the file is open during the call, and stays open after it, since it is not
        // dropped.
        let file = ManuallyDrop::new(unsafe { File::from_raw_fd(file) });
        let synced = file.sync_data();
        log_buffers::part_synced(offset, bytes);
        // A failure has left its number in `errno`.
        if synced.is_ok() { 0 } else { -1 }
    }

    /// Renames a file, and makes the new name of a snapshot survive a power cut.
    ///
    /// Returns 0, or -1 with `errno` set.
    ///
    /// # Safety
    /// Both are strings that end with a zero.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
        // SAFETY: both strings are what the caller promises.
        let renamed = unsafe { renameat(AT_FDCWD, from, AT_FDCWD, to) };
        if renamed != 0 {
            return renamed;
        }
        // SAFETY: as above.
        let to = unsafe { CStr::from_ptr(to) };
        let to = Path::new(OsStr::from_bytes(to.to_bytes()));
        let is_snapshot = |name: &OsStr| name.as_bytes().starts_with(SNAPSHOT);
        if !to.file_name().is_some_and(is_snapshot) {
            return 0;
        }
        SNAPSHOT_WAS_RENAMED.store(true, Ordering::Release);
        // A failure has left its number in `errno`.
        if fsync_folder(folder_of(to)).is_ok() {
            0
        } else {
            -1
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn sled_calls_both_functions_when_it_opens_and_writes_a_store() {
            let folder = tempfile::tempdir().unwrap();
            super::super::check(&folder.path().join("store")).unwrap();
            assert!(were_called());
            assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
