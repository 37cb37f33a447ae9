//! Checking a snapshot, and making a data folder of it.
//!
//! The store is filled beside its place and takes it when it is complete and durable (`successor.rs`), so a
//! restore that is interrupted leaves no data folder, and [`crate::Index::open`] says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::SnapshotManifest;
use super::reader::SnapshotReader;
use crate::collection::check_loads;
use crate::data_folder;
use crate::durable_files::{folder_of, fsync_folder, remove_if_there};
use crate::lock_file::{LOCK_FILE, LockFile};
use crate::store::{CollectionRecord, Entry, Filling, Store, check_room};
use crate::successor::{self, LEFT_BY_RESTORE, Successor};
use crate::{Error, IndexOptions, check_collection_name};

/// What a store takes on the disk for each byte of a snapshot, rounded up.
const STORE_BYTES_PER_BYTE: u64 = 2;
/// What may lie in a folder into which a snapshot is restored.
const IGNORED: [&str; 6] = [
    LOCK_FILE,
    LEFT_BY_RESTORE[0],
    LEFT_BY_RESTORE[1],
    data_folder::SCRATCH_FOLDER,
    super::SNAPSHOTS_FOLDER,
    "lost+found",
];

/// Reads a snapshot whole and checks everything that can be checked.
///
/// # Errors
/// A file that cannot be read, is damaged, or is of a newer version.
pub fn verify_snapshot(file: &Path) -> Result<SnapshotManifest, Error> {
    let reader = SnapshotReader::open(file)?;
    reader.read_all(|entry| check_collection(file, &entry))?;
    Ok(reader.manifest().clone())
}

/// Makes a data folder of a snapshot, in an empty folder or a new one, whole or not at all.
///
/// # Errors
/// As [`verify_snapshot`], before anything is written; a folder that is not empty or in use; a disk
/// that has not enough room.
pub fn restore_snapshot(
    file: &Path,
    data_folder: &Path,
    options: &IndexOptions,
) -> Result<SnapshotManifest, Error> {
    check_empty(data_folder)?;
    let manifest = verify_snapshot(file)?;
    let was_there = data_folder.is_dir();
    fs_err::create_dir_all(data_folder)?;
    let lock = LockFile::acquire(data_folder)?;
    check_empty(data_folder)?;
    let outcome = Restore {
        file: file.to_owned(),
        folder: data_folder.to_owned(),
    }
    .run(options, &lock);
    if outcome.is_err() {
        // What cannot be removed is named by the next restore or start.
        Successor::restored(data_folder).give_up();
        if !was_there {
            drop(fs_err::remove_dir_all(data_folder));
        }
    }
    outcome.map(|()| manifest)
}

struct Restore {
    file: PathBuf,
    folder: PathBuf,
}

impl Restore {
    fn run(&self, options: &IndexOptions, lock: &LockFile) -> Result<(), Error> {
        let successor = Successor::restored(&self.folder);
        let restoring = successor.path();
        remove_if_there(&restoring)?;
        let reader = SnapshotReader::open(&self.file)?;
        let reserve = options.min_free_disk_bytes;
        let needed = reader.bytes().saturating_mul(STORE_BYTES_PER_BYTE);
        check_room(&self.folder, needed, reserve)?;
        let store = Store::open(&restoring, options.store(), lock.clone())?;
        let mut filling = Filling::new(&store);
        reader.read_all(|entry| filling.add(entry))?;
        filling.finish()?;
        drop(store);
        // As a start opens it, while there is no folder yet that a start would take for whole.
        let store = Store::open(&restoring, options.store(), lock.clone())?;
        let store = Arc::new(store);
        check_loads(&store, &restoring)?;
        drop(store);
        // The folder itself may be new.
        fsync_folder(folder_of(&self.folder))?;
        successor.nominate()?.commit()?;
        successor::finish(&self.folder)
    }
}

/// Refuses a collection that could not have been made by its name or settings.
fn check_collection(file: &Path, (key, value): &Entry) -> Result<(), Error> {
    let Some(name) = key.collection_name() else {
        return Ok(());
    };
    let settings = CollectionRecord::from_bytes(value).map(|record| record.settings);
    let checked = check_collection_name(name)
        .and_then(|()| settings.map_or(Ok(()), |settings| settings.check()));
    checked.map_err(|error| Error::SnapshotDamaged {
        path: file.to_owned(),
        reason: format!("a collection in it, {name:?}, could not have been made: {error}"),
    })
}

fn check_empty(folder: &Path) -> Result<(), Error> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs_err::read_dir(folder)? {
        let name = entry?.file_name();
        if !IGNORED.iter().any(|ignored| name == *ignored) {
            return Err(Error::FolderNotEmpty {
                path: folder.to_owned(),
            });
        }
    }
    Ok(())
}
