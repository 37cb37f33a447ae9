//! What stands where in a data folder, and how it is put right before it is opened.

use std::path::Path;

use crate::durable_files::{fsync_folder, tree_bytes};
use crate::lock_file::LOCK_FILE;
use crate::snapshots::SNAPSHOTS_FOLDER;
use crate::successor::{self, STORE_FOLDER, Successor};
use crate::{Error, private_files};

/// Graphs.
pub(crate) const SEGMENTS_FOLDER: &str = "segments";
/// Words.
pub(crate) const LEXICAL_FOLDER: &str = "lexical";
/// What is known of jobs.
pub(crate) const JOBS_FOLDER: &str = "jobs";
/// A store that shows at the start whether sled's writes are made durable.
pub(crate) const SCRATCH_FOLDER: &str = "store.scratch";

/// Says that a store was made in this folder, so that one that has vanished is noticed.
const MARKER_FILE: &str = "siamese.data";

/// What stands in a data folder beside the folders of stores that have an ending.
const OUR_NAMES: [&str; 7] = [
    LOCK_FILE,
    MARKER_FILE,
    STORE_FOLDER,
    SEGMENTS_FOLDER,
    LEXICAL_FOLDER,
    SNAPSHOTS_FOLDER,
    JOBS_FOLDER,
];

/// Puts a folder right that an interrupted compaction or restore has left, and refuses one whose
/// store is missing: sled would make an empty one. Returns whether there was a
/// store.
pub(crate) fn prepare(folder: &Path) -> Result<bool, Error> {
    make_private(folder);
    successor::finish(folder)?;
    let store = folder.join(STORE_FOLDER);
    if Successor::restored(folder).path().exists() {
        return Err(Error::RestoreUnfinished {
            path: folder.to_owned(),
        });
    }
    let had_store = has_marker(folder);
    if had_store && !store.join("db").is_file() {
        return Err(missing_db(&store));
    }
    Ok(had_store)
}

/// Returns whether a store was made in this folder.
pub(crate) fn has_marker(folder: &Path) -> bool {
    folder.join(MARKER_FILE).exists()
}

/// Keeps what is in the folder from other users, also what an older version made. What others have put
/// there is left alone.
pub(crate) fn make_private(folder: &Path) {
    private_files::tighten(folder);
    let Ok(entries) = fs_err::read_dir(folder) else {
        return;
    };
    let is_ours = |name: &str| OUR_NAMES.contains(&name) || name.starts_with(successor::PREFIX);
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_ours) {
            private_files::tighten_all(&entry.path());
        }
    }
}

pub(crate) fn missing_db(store: &Path) -> Error {
    Error::Corrupt {
        path: store.to_owned(),
        reason: "the file db is missing".to_owned(),
    }
}

/// Bytes of the store, and of another that is being made or removed.
pub(crate) fn store_folders_bytes(folder: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name
            .to_str()
            .is_some_and(|name| name == STORE_FOLDER || successor::is_numbered(name))
        {
            bytes += tree_bytes(&entry.path())?;
        }
    }
    Ok(bytes)
}

pub(crate) fn write_marker(folder: &Path) -> Result<(), Error> {
    let path = folder.join(MARKER_FILE);
    fs_err::write(&path, "A data folder of siamese; see store/.\n")?;
    fs_err::File::open(&path)?.sync_all()?;
    Ok(fsync_folder(folder)?)
}
