//! Which version of a file was looked at, and looking again.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, SystemTime};

/// Between two looks at files. What was revoked in one may be used for so long.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// What changes when a file does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileStamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl FileStamp {
    /// That of the file that is there now, behind all links; nothing when there is none.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs_err::metadata(path).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            inode,
        })
    }
}

/// Looks at files again and again, on a thread with this name, for as long as anybody else has `watched`.
///
/// # Errors
/// When the operating system gives no thread.
pub(crate) fn keep_looking<T: Send + Sync + 'static>(
    name: &str,
    watched: &Arc<T>,
    look: impl Fn(Arc<T>) + Send + 'static,
) -> std::io::Result<()> {
    let watched = Arc::downgrade(watched);
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(move || {
        while let Some(watched) = Weak::upgrade(&watched) {
            look(watched);
            thread::sleep(LOOK_PAUSE);
        }
    })?;
    Ok(())
}
