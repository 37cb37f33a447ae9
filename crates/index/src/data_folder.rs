//! What stands where in a data folder, and how it is put right before it is opened.

use std::path::Path;

use crate::Error;
use crate::store::fsync_folder;

/// Locked by the one process that has the folder open.
pub(crate) const LOCK_FILE: &str = "siamese.lock";
/// The record.
pub(crate) const STORE_FOLDER: &str = "store";
/// Graphs.
pub(crate) const SEGMENTS_FOLDER: &str = "segments";
/// Words.
pub(crate) const LEXICAL_FOLDER: &str = "lexical";
/// The store of a snapshot that is being restored.
pub(crate) const RESTORING_FOLDER: &str = "store.restoring";
/// The store that a compaction writes.
pub(crate) const REWRITTEN_FOLDER: &str = "store.rewritten";
/// The store that a compaction replaces.
pub(crate) const REPLACED_FOLDER: &str = "store.replaced";

/// Says that a store was made in this folder, so that one that has vanished is noticed.
const MARKER_FILE: &str = "siamese.data";

/// Puts a folder right that an interrupted compaction or restore has left, and refuses one whose
/// store is missing: sled would make an empty one. Whether there was a store.
pub(crate) fn prepare(folder: &Path) -> Result<bool, Error> {
    finish_compaction(folder)?;
    let store = folder.join(STORE_FOLDER);
    if folder.join(RESTORING_FOLDER).exists() {
        return Err(Error::RestoreUnfinished {
            path: folder.to_owned(),
        });
    }
    let had_store = folder.join(MARKER_FILE).exists();
    if had_store && !store.join("db").is_file() {
        return Err(missing_db(&store));
    }
    Ok(had_store)
}

pub(crate) fn missing_db(store: &Path) -> Error {
    Error::Corrupt {
        path: store.to_owned(),
        reason: "the file db is missing".to_owned(),
    }
}

/// The store that is complete whatever happened is the one that was there before. It is put back
/// when the new one has not taken its place, and removed when it has.
fn finish_compaction(folder: &Path) -> Result<(), Error> {
    let (store, replaced) = (folder.join(STORE_FOLDER), folder.join(REPLACED_FOLDER));
    if replaced.is_dir() && !store.exists() {
        fs_err::rename(&replaced, &store)?;
        fsync_folder(folder)?;
    }
    remove_if_there(&replaced)?;
    Ok(remove_if_there(&folder.join(REWRITTEN_FOLDER))?)
}

pub(crate) fn write_marker(folder: &Path) -> Result<(), Error> {
    let path = folder.join(MARKER_FILE);
    fs_err::write(&path, "A data folder of siamese; see store/.\n")?;
    fs_err::File::open(&path)?.sync_all()?;
    Ok(fsync_folder(folder)?)
}

/// Removes a folder with everything in it.
pub(crate) fn remove_if_there(folder: &Path) -> std::io::Result<()> {
    match fs_err::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
