//! The `.partial` folder beside a model's folder: where files gather until all of them are right.
//!
//! A file comes in as `<path>.part`, is compared with its pin, and loses the suffix. What is there
//! after an interruption is used by the next attempt. Nothing becomes visible under the model's
//! own name before every file is intact and on disk.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use fs_err::File;

use super::checksum::FileState;
use super::manifest::{PinnedFile, PinnedModel};

/// The gathering place of one model.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
}

impl Staging {
    /// Opens `<target>.partial`, with what an earlier attempt left there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(crate) fn open(target: &Path) -> io::Result<Self> {
        let folder = beside(target, ".partial");
        fs_err::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// A place for what a source needs besides the model's files; it is deleted at the end.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn scratch(&self) -> io::Result<tempfile::TempDir> {
        tempfile::Builder::new()
            .prefix("scratch-")
            .tempdir_in(&self.folder)
    }

    /// Files that are not here yet, byte for byte.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn wanted(&self, model: &PinnedModel) -> io::Result<Vec<PinnedFile>> {
        let mut wanted = Vec::new();
        for file in model.files {
            if file.state(&self.folder.join(file.path))? != FileState::Intact {
                wanted.push(*file);
            }
        }
        Ok(wanted)
    }

    /// Copies from `folder` the files that are intact there.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn adopt(&self, folder: &Path, wanted: &[PinnedFile]) -> io::Result<()> {
        for file in wanted {
            let path = folder.join(file.path);
            if file.state(&path)? == FileState::Intact {
                fs_err::copy(path, self.part(file)?)?;
                self.accept(file)?;
            }
        }
        Ok(())
    }

    /// Where an incomplete file is kept. Its folder exists.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub(crate) fn part(&self, file: &PinnedFile) -> io::Result<PathBuf> {
        let path = self.folder.join(format!("{}.part", file.path));
        create_parent(&path)?;
        Ok(path)
    }

    /// Takes a complete `.part` file in if it is what was pinned; deletes it otherwise. Says
    /// which.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn accept(&self, file: &PinnedFile) -> io::Result<FileState> {
        let part = self.part(file)?;
        let state = file.state(&part)?;
        match state {
            FileState::Intact => {
                File::open(&part)?.sync_all()?;
                fs_err::rename(&part, self.folder.join(file.path))?;
            }
            FileState::Missing => {}
            FileState::WrongSize { .. } | FileState::WrongContent { .. } => {
                fs_err::remove_file(&part)?;
            }
        }
        Ok(state)
    }

    /// Makes the files visible as `target`: the whole folder at once where there is none yet, else
    /// file by file, which leaves everything else in it alone.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn install(self, target: &Path, model: &PinnedModel) -> io::Result<()> {
        self.remove_leftovers(model)?;
        self.sync_folders(&self.folder, model)?;
        if is_absent_or_empty(target)? {
            if target.exists() {
                fs_err::remove_dir(target)?;
            }
            fs_err::rename(&self.folder, target)?;
        } else {
            for file in model.files {
                let path = target.join(file.path);
                create_parent(&path)?;
                fs_err::rename(self.folder.join(file.path), path)?;
            }
            self.sync_folders(target, model)?;
            fs_err::remove_dir_all(&self.folder)?;
        }
        target.parent().map_or(Ok(()), sync_folder)
    }

    /// Deletes `.part` files and scratch folders of earlier attempts.
    fn remove_leftovers(&self, model: &PinnedModel) -> io::Result<()> {
        for file in model.files {
            match fs_err::remove_file(self.part(file)?) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        for entry in fs_err::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("scratch-") {
                fs_err::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Makes the names of the files durable; their content already is.
    fn sync_folders(&self, root: &Path, model: &PinnedModel) -> io::Result<()> {
        for file in model.files {
            if let Some(parent) = root.join(file.path).parent() {
                sync_folder(parent)?;
            }
        }
        Ok(())
    }
}

/// The path with `suffix` after its last component.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path
        .file_name()
        .map_or_else(|| OsString::from("model"), OsString::from);
    name.push(suffix);
    path.with_file_name(name)
}

fn create_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs_err::create_dir_all)
}

fn is_absent_or_empty(folder: &Path) -> io::Result<bool> {
    match fs_err::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    // The parent of a relative path of one component is empty.
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
