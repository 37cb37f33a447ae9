//! Which file a path names, to notice that it has come to name another.

use std::path::{Path, PathBuf};

/// A file as it was when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    path: PathBuf,
    number: Number,
}

/// Device and inode; equal for two names of one file, and for nothing else.
type Number = (u64, u64);

impl FileIdentity {
    /// Of the file that a path names now.
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        Ok(Self::new(path, &fs_err::metadata(path)?))
    }

    /// Of an open file and the path that it was opened by.
    pub(crate) fn of_open(file: &fs_err::File) -> std::io::Result<Self> {
        Ok(Self::new(file.path(), &file.metadata()?))
    }

    fn new(path: &Path, metadata: &std::fs::Metadata) -> Self {
        Self {
            path: path.to_owned(),
            number: number(metadata),
        }
    }

    /// Returns whether the path still names this file. Opens nothing.
    pub(crate) fn is_in_place(&self) -> bool {
        fs_err::metadata(&self.path).is_ok_and(|metadata| number(&metadata) == self.number)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(unix)]
fn number(metadata: &std::fs::Metadata) -> Number {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// Where files have no numbers, being there is all that is asked.
#[cfg(not(unix))]
fn number(_metadata: &std::fs::Metadata) -> Number {
    (0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_place_until_its_path_names_another_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("a"), folder.path().join("b"));
        fs_err::write(&path, "one").unwrap();
        let identity = FileIdentity::of(&path).unwrap();
        fs_err::write(&path, "the same file, written again").unwrap();
        assert!(identity.is_in_place());
        fs_err::rename(&path, &moved).unwrap();
        assert!(!identity.is_in_place(), "moved away");
        fs_err::write(&path, "one").unwrap();
        assert!(!identity.is_in_place(), "another file of the same name");
        fs_err::rename(&moved, &path).unwrap();
        assert!(identity.is_in_place(), "put back");
    }
}
