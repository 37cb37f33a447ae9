//! What stands where in a data folder, and how it is put right before it is opened.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::durable_files::{NewFile, fsync_folder, remove_if_there, tree_bytes};
use crate::lock_file::LOCK_FILE;
use crate::snapshots::SNAPSHOTS_FOLDER;
use crate::{Error, private_files};

/// The record.
pub(crate) const STORE_FOLDER: &str = "store";
/// Graphs.
pub(crate) const SEGMENTS_FOLDER: &str = "segments";
/// Words.
pub(crate) const LEXICAL_FOLDER: &str = "lexical";
/// What is known of jobs.
pub(crate) const JOBS_FOLDER: &str = "jobs";
/// The store of a snapshot that is being restored.
pub(crate) const RESTORING_FOLDER: &str = "store.restoring";
/// A store that shows at the start whether sled's writes are made durable.
pub(crate) const SCRATCH_FOLDER: &str = "store.scratch";
/// The store that a compaction writes.
pub(crate) const REWRITTEN_FOLDER: &str = "store.rewritten";
/// The store that a compaction replaces.
pub(crate) const REPLACED_FOLDER: &str = "store.replaced";

/// Names the folder of the store, while that is another than [`STORE_FOLDER`].
const CURRENT_FILE: &str = "store.current";
/// What the name of such a folder begins with; a number follows.
const NUMBERED_FOLDER: &str = "store.";

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
/// store is missing: sled would make an empty one. Whether there was a store.
pub(crate) fn prepare(folder: &Path) -> Result<bool, Error> {
    make_private(folder);
    finish_exchange(folder)?;
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

/// Keeps what is in the folder from other users, also what an older version made. What others have put
/// there is left alone.
pub(crate) fn make_private(folder: &Path) {
    private_files::tighten(folder);
    let Ok(entries) = fs_err::read_dir(folder) else {
        return;
    };
    let is_ours = |name: &str| OUR_NAMES.contains(&name) || name.starts_with(NUMBERED_FOLDER);
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

/// Where a store goes that is made while another is in use.
pub(crate) fn numbered(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{NUMBERED_FOLDER}{number}"))
}

/// Bytes of the store, and of another that is being made or removed.
pub(crate) fn store_folders_bytes(folder: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name
            .to_str()
            .is_some_and(|name| name == STORE_FOLDER || is_numbered(name))
        {
            bytes += tree_bytes(&entry.path())?;
        }
    }
    Ok(bytes)
}

/// Writes down which folder, that [`numbered`] names, is to be that of the store. From the commit on the
/// next start opens that one.
pub(crate) fn new_current(folder: &Path, number: u64) -> Result<NewFile, Error> {
    let name = format!("{NUMBERED_FOLDER}{number}");
    let checksum = crc32fast::hash(name.as_bytes());
    let mut file = fs_err::File::create(folder.join(format!("{CURRENT_FILE}.tmp")))?;
    writeln!(file, "{name} {checksum:08x}")?;
    Ok(NewFile::of(file, folder.join(CURRENT_FILE))?)
}

/// The folder that is named as that of the store.
fn current(folder: &Path) -> Result<Option<PathBuf>, Error> {
    let path = folder.join(CURRENT_FILE);
    let text = match fs_err::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => String::new(),
        Err(error) => return Err(error.into()),
    };
    let name = text
        .trim_end()
        .split_once(' ')
        .and_then(|(name, checksum)| {
            let expected = format!("{:08x}", crc32fast::hash(name.as_bytes()));
            (is_numbered(name) && checksum == expected).then_some(name)
        });
    let name = name.ok_or_else(|| Error::Corrupt {
        path,
        reason: "the name of the store's folder cannot be read".to_owned(),
    })?;
    Ok(Some(folder.join(name)))
}

fn is_numbered(name: &str) -> bool {
    let number = name.strip_prefix(NUMBERED_FOLDER);
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}

/// Gives the store its usual place when it was exchanged for another while in use, and removes what
/// an exchange has left. Interrupted, it is done again: the name stays until the folder has moved.
fn finish_exchange(folder: &Path) -> Result<(), Error> {
    let store = folder.join(STORE_FOLDER);
    if let Some(current) = current(folder)? {
        if current.is_dir() {
            remove_if_there(&store)?;
            fsync_folder(folder)?;
            fs_err::rename(&current, &store)?;
            fsync_folder(folder)?;
        }
        if store.join("db").is_file() {
            fs_err::remove_file(folder.join(CURRENT_FILE))?;
            fsync_folder(folder)?;
        }
    }
    if store.join("db").is_file() {
        remove_numbered(folder)?;
    }
    Ok(())
}

/// Removes all numbered folders, when none of them is the store.
fn remove_numbered(folder: &Path) -> Result<(), Error> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_numbered) {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

pub(crate) fn write_marker(folder: &Path) -> Result<(), Error> {
    let path = folder.join(MARKER_FILE);
    fs_err::write(&path, "A data folder of siamese; see store/.\n")?;
    fs_err::File::open(&path)?.sync_all()?;
    Ok(fsync_folder(folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make_store(folder: &Path, name: &str) {
        fs_err::create_dir(folder.join(name)).unwrap();
        fs_err::write(folder.join(name).join("db"), name).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs_err::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn db(folder: &Path) -> String {
        fs_err::read_to_string(folder.join(STORE_FOLDER).join("db")).unwrap()
    }

    #[test]
    fn a_store_that_was_made_beside_another_is_removed_until_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in ["store", "store.1"] {
            make_store(folder, name);
        }
        let named = new_current(folder, 1).unwrap();
        prepare(folder).unwrap();
        assert_eq!(db(folder), "store");
        assert!(!numbered(folder, 1).exists());
        make_store(folder, "store.1");
        named.commit().unwrap();
        prepare(folder).unwrap();
        assert_eq!(db(folder), "store.1");
        assert_eq!(names(folder), ["store"]);
    }

    #[test]
    fn of_several_stores_the_one_that_is_named_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in ["store", "store.2", "store.10"] {
            make_store(folder, name);
        }
        new_current(folder, 2).unwrap().commit().unwrap();
        prepare(folder).unwrap();
        assert_eq!(db(folder), "store.2");
        assert_eq!(names(folder), ["store"]);
    }

    #[test]
    fn a_store_that_has_moved_already_is_not_looked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        make_store(folder, "store");
        new_current(folder, 1).unwrap().commit().unwrap();
        prepare(folder).unwrap();
        assert_eq!(names(folder), ["store"]);
    }

    #[test]
    fn a_name_that_is_damaged_or_gone_is_refused_and_no_store_removed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write_marker(folder).unwrap();
        make_store(folder, "store.1");
        new_current(folder, 1).unwrap().commit().unwrap();
        let path = folder.join(CURRENT_FILE);
        let whole = fs_err::read(&path).unwrap();
        for byte in 0..whole.len() - 1 {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1;
            fs_err::write(&path, damaged).unwrap();
            assert!(
                matches!(prepare(folder), Err(Error::Corrupt { .. })),
                "{byte}"
            );
        }
        fs_err::remove_file(&path).unwrap();
        assert!(matches!(prepare(folder), Err(Error::Corrupt { .. })));
        assert!(numbered(folder, 1).exists());
    }
}
