//! Files that are written whole or not at all, and folders whose entries survive a power cut.

use std::io;
use std::path::{Path, PathBuf};

/// A file that is whole and durable under another name than the one that it is to have.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: fs_err::File,
    folder: fs_err::File,
    path: PathBuf,
}

impl NewFile {
    /// Makes durable what has been written into a file in the folder of `path`.
    pub(crate) fn of(file: fs_err::File, path: PathBuf) -> io::Result<Self> {
        file.sync_all()?;
        Ok(Self {
            file,
            // Before the rename: without a file handle for it, nothing has happened yet.
            folder: fs_err::File::open(folder_of(&path))?,
            path,
        })
    }

    /// Gives the file its name, also if another has it. On return that would survive a power cut;
    /// after an error the name may be either's.
    pub(crate) fn commit(self) -> io::Result<fs_err::File> {
        fs_err::rename(self.file.path(), &self.path)?;
        self.folder.sync_all()?;
        Ok(self.file)
    }
}

/// Writes a file in the place of the one that may be there, which stays as it is until the new one
/// is whole. On return the new one would survive a power cut. What fails leaves nothing behind.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut fs_err::File) -> io::Result<()>,
) -> io::Result<fs_err::File> {
    let unfinished = path.with_extension("tmp");
    let mut file = fs_err::File::create(&unfinished)?;
    let outcome = write(&mut file)
        .and_then(|()| NewFile::of(file, path.to_owned()))
        .and_then(NewFile::commit);
    outcome.inspect_err(|_| {
        // What cannot be removed now is overwritten or swept later.
        drop(fs_err::remove_file(&unfinished));
    })
}

/// The folder that a path's last name is in; the working directory for a bare name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent();
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Makes what was made, renamed and removed in a folder survive a power cut.
pub(crate) fn fsync_folder(folder: &Path) -> io::Result<()> {
    fs_err::File::open(folder)?.sync_all()
}

/// Fsyncs every file below a folder, then the folder, then the name that it has.
pub(crate) fn fsync_tree_and_name(folder: &Path) -> io::Result<()> {
    fsync_tree(folder)?;
    fsync_folder(folder_of(folder))
}

/// Fsyncs every file below a folder, then the folder.
pub(crate) fn fsync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let Some(entry) = unless_gone(entry)? else {
            continue;
        };
        let Some(kind) = unless_gone(entry.file_type())? else {
            continue;
        };
        if kind.is_dir() {
            fsync_tree(&entry.path())?;
        } else if let Some(file) = unless_gone(fs_err::File::open(entry.path()))? {
            file.sync_all()?;
        }
    }
    fsync_folder(folder)
}

/// Bytes of all files below a folder; none when it is gone.
pub(crate) fn tree_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in unless_gone(fs_err::read_dir(folder))?.into_iter().flatten() {
        let Some(entry) = unless_gone(entry)? else {
            continue;
        };
        let Some(metadata) = unless_gone(entry.metadata())? else {
            continue;
        };
        bytes += if metadata.is_dir() {
            tree_bytes(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}

/// Removes a folder with everything in it, if it is there.
pub(crate) fn remove_if_there(folder: &Path) -> io::Result<()> {
    unless_gone(fs_err::remove_dir_all(folder)).map(drop)
}

/// Files that sled makes and takes away by itself may vanish while we look.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace(&path, |file| file.write_all(b"old")).unwrap();
        let failing = replace(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("no more room"))
        });
        assert!(failing.is_err());
        assert_eq!(fs_err::read(&path).unwrap(), b"old");
        replace(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"new");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_bare_name_is_in_the_working_directory() {
        assert_eq!(folder_of(Path::new("snap.1")), Path::new("."));
        assert_eq!(folder_of(Path::new("/a/snap.1")), Path::new("/a"));
    }
}
