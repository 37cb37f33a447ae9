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
//! program is found first by the linker, and these are they.

#[cfg(target_os = "linux")]
pub(super) use linux::is_in_place;

/// Whether sled fsyncs what it writes.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_in_place() -> bool {
    true
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{CStr, OsStr, c_char, c_int, c_uint};
    use std::fs::File;
    use std::mem::ManuallyDrop;
    use std::os::fd::{FromRawFd, RawFd};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

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

    static WAS_CALLED: AtomicBool = AtomicBool::new(false);
    #[cfg(test)]
    static SNAPSHOT_WAS_RENAMED: AtomicBool = AtomicBool::new(false);

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
        match to.parent() {
            Some(folder) if to.file_name().is_some_and(is_snapshot) => {
                #[cfg(test)]
                SNAPSHOT_WAS_RENAMED.store(true, Ordering::Release);
                let synced = fs_err::File::open(folder).and_then(|folder| folder.sync_all());
                // A failure has left its number in `errno`.
                if synced.is_ok() { 0 } else { -1 }
            }
            _ => 0,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_program_renames_by_the_function_that_makes_snapshots_durable() {
            let folder = tempfile::tempdir().unwrap();
            let (from, to) = (
                folder.path().join("snap.1.generating"),
                folder.path().join("snap.1"),
            );
            fs_err::write(&from, "").unwrap();
            fs_err::rename(&from, &to).unwrap();
            assert!(to.is_file());
            assert!(SNAPSHOT_WAS_RENAMED.load(Ordering::Acquire));
        }
    }
}
