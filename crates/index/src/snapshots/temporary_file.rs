//! A file that gets its name when it is complete, and is removed when it never is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::store::fsync_folder;

const EXTENSION: &str = "tmp";

/// A file in the making.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    path: PathBuf,
    target: PathBuf,
}

impl TemporaryFile {
    /// Makes the file that will become `target`.
    pub(super) fn create(target: &Path) -> Result<(Self, fs_err::File), Error> {
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(".");
        name.push(EXTENSION);
        let path = target.with_file_name(name);
        let file = fs_err::File::create(&path)?;
        let target = target.to_owned();
        Ok((Self { path, target }, file))
    }

    /// Makes it durable under its name.
    pub(super) fn finish(self, file: &fs_err::File) -> Result<(), Error> {
        file.sync_all()?;
        fs_err::rename(&self.path, &self.target)?;
        if let Some(folder) = self.target.parent() {
            fsync_folder(folder)?;
        }
        Ok(())
    }

    /// Removes what a process that was killed has left in a folder.
    pub(super) fn sweep(folder: &Path) -> std::io::Result<()> {
        for entry in fs_err::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|found| found == EXTENSION) {
                fs_err::remove_file(path)?;
            }
        }
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // Gone already when it was finished; otherwise the next start sweeps what stays.
        drop(fs_err::remove_file(&self.path));
    }
}
