//! The folder with the snapshots of a data folder.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, TryLockError};

use jiff::Timestamp;

use super::manifest::SnapshotManifest;
use super::reader::SnapshotReader;
use super::writer::SnapshotWriter;
use crate::clock::now_ms;
use crate::store::{FrozenView, Store, check_room};
use crate::temporary_file::TemporaryFile;
use crate::{Cancel, Error, Progress, private_files};

const EXTENSION: &str = "snapshot";
/// Far more than a name made here has.
const MAX_NAME_BYTES: usize = 128;
/// Bytes written between two looks at the room on the disk.
const ROOM_CHECK_BYTES: u64 = 16 << 20;

/// Where snapshots lie and what they may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// Their folder; `snapshots` in the data folder when absent.
    pub folder: Option<PathBuf>,
    /// Snapshots that may lie there; one more is refused.
    pub max_snapshots: usize,
    /// Memory for what is replaced while a snapshot is taken, bytes.
    pub max_memory_bytes: u64,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self {
            folder: None,
            max_snapshots: 8,
            max_memory_bytes: 256 << 20,
        }
    }
}

/// A snapshot's file.
#[derive(Debug)]
pub struct SnapshotInfo {
    /// Its name in the folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// What it holds by its own account, or why that cannot be read.
    pub manifest: Result<SnapshotManifest, Error>,
}

/// The folder, and what is needed to write there.
#[derive(Debug)]
pub(crate) struct SnapshotFolder {
    path: PathBuf,
    options: SnapshotOptions,
    min_free_disk_bytes: u64,
    /// Held from the first look at the folder until the file has its name.
    taking: Mutex<()>,
}

impl SnapshotFolder {
    /// The snapshots of a data folder. Removes what an interrupted one has left.
    pub(crate) fn open(
        data_folder: &Path,
        options: &SnapshotOptions,
        min_free_disk_bytes: u64,
    ) -> Result<Self, Error> {
        let path = options.folder.clone();
        let path = path.unwrap_or_else(|| data_folder.join(super::SNAPSHOTS_FOLDER));
        if path.is_dir() {
            TemporaryFile::sweep(&path, is_snapshot_name)?;
        }
        let folder = Self {
            path,
            options: options.clone(),
            min_free_disk_bytes,
            taking: Mutex::new(()),
        };
        for name in folder.names()? {
            private_files::tighten(&folder.path.join(name));
        }
        Ok(folder)
    }

    /// Writes what is in the store at this moment into a new file.
    pub(crate) fn create(
        &self,
        store: &Store,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<SnapshotInfo, Error> {
        let _taking = match self.taking.try_lock() {
            Ok(taking) => taking,
            // Nothing is left half done by one that panicked: its file is removed.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(Error::SnapshotInProgress),
        };
        // A folder that was moved away must not be made anew in its old place.
        store.check_in_place()?;
        fs_err::create_dir_all(&self.path)?;
        let max_snapshots = self.options.max_snapshots;
        if self.names()?.len() >= max_snapshots {
            return Err(Error::TooManySnapshots { max_snapshots });
        }
        // Live data takes no more than the store does on the disk.
        check_room(&self.path, store.size_on_disk()?, self.min_free_disk_bytes)?;
        let view = store.freeze(self.options.max_memory_bytes)?;
        let created_at_ms = now_ms();
        let name = self.free_name(created_at_ms)?;
        let (temporary, file) = TemporaryFile::create(&self.path.join(&name))?;
        progress.set_total(store.live_bytes());
        let writer = SnapshotWriter::new(file)?;
        let writer = self.write(store, view, writer, cancel, progress)?;
        let finished = writer.finish(created_at_ms)?;
        let (file, manifest, bytes) =
            finished.ok_or_else(|| store.corrupt("the record says no format or no encoder"))?;
        temporary.finish(file)?;
        let manifest = Ok(manifest);
        Ok(SnapshotInfo {
            name,
            bytes,
            manifest,
        })
    }

    fn write(
        &self,
        store: &Store,
        mut view: FrozenView<'_>,
        mut writer: SnapshotWriter,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<SnapshotWriter, Error> {
        let mut checked_at = 0;
        while let Some(entries) = view.next_step()? {
            for entry in entries {
                let added = writer.add(&entry)?;
                added.ok_or_else(|| store.corrupt("an entry cannot be read"))?;
            }
            progress.set_done(writer.bytes());
            cancel.check()?;
            if writer.bytes() - checked_at >= ROOM_CHECK_BYTES {
                checked_at = writer.bytes();
                check_room(&self.path, ROOM_CHECK_BYTES, self.min_free_disk_bytes)?;
            }
        }
        Ok(writer)
    }

    /// All snapshots in the order of their names, which is the order of their moments.
    pub(crate) fn list(&self) -> Result<Vec<SnapshotInfo>, Error> {
        let mut snapshots = Vec::new();
        for name in self.names()? {
            let path = self.path.join(&name);
            // Deleted since the folder was read: not a part of the list.
            let Ok(metadata) = fs_err::metadata(&path) else {
                continue;
            };
            snapshots.push(SnapshotInfo {
                manifest: SnapshotReader::open(&path).map(|reader| reader.manifest().clone()),
                bytes: metadata.len(),
                name,
            });
        }
        Ok(snapshots)
    }

    /// A snapshot's file to read from.
    pub(crate) fn file(&self, name: &str) -> Result<std::fs::File, Error> {
        let file = fs_err::File::open(self.existing(name)?)?;
        Ok(file.into_parts().0)
    }

    pub(crate) fn delete(&self, name: &str) -> Result<(), Error> {
        fs_err::remove_file(self.existing(name)?)?;
        Ok(crate::durable_files::fsync_folder(&self.path)?)
    }

    /// The path of a snapshot that is there. No name leads out of the folder.
    fn existing(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        if is_snapshot_name(name) && path.is_file() {
            return Ok(path);
        }
        Err(Error::SnapshotNotFound {
            name: name.to_owned(),
        })
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        if !self.path.is_dir() {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for entry in fs_err::read_dir(&self.path)? {
            let name = entry?.file_name().into_string();
            names.extend(name.ok().filter(|name| is_snapshot_name(name)));
        }
        names.sort();
        Ok(names)
    }

    /// The moment as a name; on a clock that was put back, the next moment that is free.
    fn free_name(&self, created_at_ms: u64) -> Result<String, Error> {
        let mut moment_ms = created_at_ms;
        loop {
            let moment = Timestamp::from_millisecond(moment_ms as i64);
            let moment = moment.map_err(std::io::Error::other)?;
            let name = format!("{}.{EXTENSION}", moment.strftime("%Y-%m-%dT%H-%M-%S.%3fZ"));
            if !self.path.join(&name).exists() {
                return Ok(name);
            }
            moment_ms += 1;
        }
    }
}

fn is_snapshot_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let has_extension = name
        .strip_suffix(EXTENSION)
        .is_some_and(|stem| stem.len() > 1 && stem.ends_with('.'));
    has_extension
        && !name.starts_with('.')
        && name.len() <= MAX_NAME_BYTES
        && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for name in [
            "../x.snapshot",
            "a/b.snapshot",
            "..snapshot",
            ".snapshot",
            ".x.snapshot",
            "x\\y.snapshot",
            "x\0.snapshot",
            "x.snapshot.tmp",
            "snapshot",
            "",
        ] {
            assert!(!is_snapshot_name(name), "{name:?}");
        }
        assert!(is_snapshot_name("2026-01-02T03-04-05.678Z.snapshot"));
        assert!(is_snapshot_name("before-upgrade.snapshot"));
    }
}
