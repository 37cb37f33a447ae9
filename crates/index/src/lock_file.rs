//! One process a data folder.

use std::fs::TryLockError;
use std::path::Path;
use std::sync::Arc;

use crate::Error;
use crate::file_identity::FileIdentity;

/// Locked by the one process that has the folder open.
pub(crate) const LOCK_FILE: &str = "siamese.lock";

/// Held for as long as the folder is open; the operating system lets go when the process ends.
#[derive(Debug, Clone)]
pub(crate) struct LockFile {
    _file: Arc<fs_err::File>,
    identity: Arc<FileIdentity>,
}

impl LockFile {
    /// Locks the folder.
    ///
    /// # Errors
    /// When another process has it.
    pub(crate) fn acquire(folder: &Path) -> Result<Self, Error> {
        let file = fs_err::File::create(folder.join(LOCK_FILE))?;
        match file.file().try_lock() {
            Ok(()) => Ok(Self {
                identity: Arc::new(FileIdentity::of_open(&file)?),
                _file: Arc::new(file),
            }),
            Err(TryLockError::WouldBlock) => Err(Error::DataDirInUse {
                path: folder.to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Which file is locked.
    pub(crate) fn identity(&self) -> &FileIdentity {
        &self.identity
    }
}
