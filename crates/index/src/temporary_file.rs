//! A file that gets its name when it is complete, and is removed when it never is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::durable_files::NewFile;

const EXTENSION: &str = "tmp";

/// A file in the making.
#[derive(Debug)]
pub(crate) struct TemporaryFile {
    path: PathBuf,
    target: PathBuf,
}

impl TemporaryFile {
    /// Makes the file that will become `target`.
    pub(crate) fn create(target: &Path) -> Result<(Self, fs_err::File), Error> {
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
    pub(crate) fn finish(self, file: fs_err::File) -> Result<(), Error> {
        NewFile::of(file, self.target.clone())?.commit()?;
        Ok(())
    }

    /// Removes what a process that was killed has left in a folder, which may hold files of others:
    /// only what [`Self::create`] names after a target that `is_target` knows. What cannot be removed
    /// only takes up room.
    pub(crate) fn sweep(folder: &Path, is_target: impl Fn(&str) -> bool) -> std::io::Result<()> {
        for entry in fs_err::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if !name.to_str().and_then(target_of).is_some_and(&is_target) {
                continue;
            }
            if let Err(error) = fs_err::remove_file(entry.path()) {
                tracing::warn!(%error, "what an interrupted snapshot has left was not removed");
            }
        }
        Ok(())
    }
}

/// What a temporary file was to become, by its name.
fn target_of(name: &str) -> Option<&str> {
    let name = name.strip_prefix('.')?.strip_suffix(EXTENSION)?;
    name.strip_suffix('.')
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // Gone already when it was finished; otherwise the next start sweeps what stays.
        drop(fs_err::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_our_own_making_are_swept_and_what_stays_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (temporary, file) = TemporaryFile::create(&folder.join("a.snapshot")).unwrap();
        // As a killed process leaves it.
        std::mem::forget(temporary);
        drop(file);
        for other in ["a.tmp", ".tmp", ".b.tmp", "a.snapshot", "a.snapshot.tmp"] {
            fs_err::write(folder.join(other), "somebody else's").unwrap();
        }
        fs_err::create_dir(folder.join(".c.snapshot.tmp")).unwrap();
        TemporaryFile::sweep(folder, |target| target.ends_with(".snapshot")).unwrap();
        let entries = fs_err::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        let kept = [
            ".b.tmp",
            ".c.snapshot.tmp",
            ".tmp",
            "a.snapshot",
            "a.snapshot.tmp",
            "a.tmp",
        ];
        assert_eq!(names, kept);
    }
}
