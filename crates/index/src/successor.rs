//! How a store takes the place of another, or of none.
//!
//! A compaction, in use or not, and a snapshot that is restored do so in the same three steps.
//!
//! 1. *Made.* The successor is written in a folder of its own beside the store, whole and durable.
//! 2. *Named.* `store.current`, a line with the name of that folder and its checksum, is written under another
//!    name, made durable, and renamed. From then on the successor is the store.
//! 3. *Moved.* What is in `store/` is removed, the successor is renamed to `store/`, and `store.current` is
//!    removed, each made durable before the next. While the successor is in use, the next start does this.
//!
//! A crash at any moment leaves one store that is whole, and [`finish`] finds it. Before the rename of step 2 no
//! name is there: `store/` is as it was, and the successor is removed, or refused where there is no store beside
//! it. After it, nothing but what the name does *not* lead to is ever removed. As long as the folder that is named
//! is there, step 3 has to be done from its beginning. When it is not, it has moved to `store/`, which was gone by
//! then, and only the name is left to remove. If it is not known whether step 2 has become durable, since its
//! fsync failed, either store may be found, so neither is written to any more until the next start.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::durable_files::{NewFile, fsync_folder, remove_if_there};

/// The record in its usual place.
pub(crate) const STORE_FOLDER: &str = "store";
/// What the name of every folder begins with that holds a store for a while.
pub(crate) const PREFIX: &str = "store.";
/// The ending of one that is made of a snapshot.
const RESTORED: &str = "restoring";
/// The name of the successor.
const NAME_FILE: &str = "store.current";
/// The same, before it counts.
const NEW_NAME_FILE: &str = "store.current.tmp";
/// What older versions made a compaction in: the new store, and the old one between two renames.
const REWRITTEN_FOLDER: &str = "store.rewritten";
const REPLACED_FOLDER: &str = "store.replaced";
/// What a restore that was not finished may have left.
pub(crate) const LEFT_BY_RESTORE: [&str; 2] = ["store.restoring", NEW_NAME_FILE];

/// A store that is to take the place of the one in a data folder.
#[derive(Debug)]
pub(crate) struct Successor {
    folder: PathBuf,
    name: String,
}

impl Successor {
    /// One that is made while the store is in use; each since the start has another number, from 1.
    pub(crate) fn numbered(folder: &Path, number: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            name: format!("{PREFIX}{number}"),
        }
    }

    /// One that is made of a snapshot. Until it is named, a folder that has it is refused.
    pub(crate) fn restored(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            name: format!("{PREFIX}{RESTORED}"),
        }
    }

    /// Where it is made.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Writes its name down. From the commit on, it is the store.
    ///
    /// # Errors
    /// A failing disk; the store is the one before then.
    pub(crate) fn nominate(&self) -> Result<NewFile, Error> {
        let checksum = crc32fast::hash(self.name.as_bytes());
        let mut file = fs_err::File::create(self.folder.join(NEW_NAME_FILE))?;
        writeln!(file, "{} {checksum:08x}", self.name)?;
        Ok(NewFile::of(file, self.folder.join(NAME_FILE))?)
    }

    /// Removes one that was not named. What cannot be removed now, the next start removes or names.
    pub(crate) fn give_up(&self) {
        drop(fs_err::remove_file(self.folder.join(NEW_NAME_FILE)));
        drop(remove_if_there(&self.path()));
    }
}

/// Moves the store to its usual place, and removes what else was left. Interrupted, it is done again.
///
/// # Errors
/// A name that cannot be read, or a failing disk.
pub(crate) fn finish(folder: &Path) -> Result<(), Error> {
    let store = folder.join(STORE_FOLDER);
    let is_there = || store.join("db").is_file();
    if let Some(named) = named(folder)? {
        if named.is_dir() {
            remove_if_there(&store)?;
            fsync_folder(folder)?;
            fs_err::rename(&named, &store)?;
            fsync_folder(folder)?;
        }
        if is_there() {
            fs_err::remove_file(folder.join(NAME_FILE))?;
            fsync_folder(folder)?;
        }
    }
    finish_older(folder)?;
    if is_there() {
        remove_unnamed(folder)?;
    }
    Ok(())
}

/// Puts right what a compaction of an older version has left. It renamed the store, then the new one to its
/// place: the store that is complete whatever happened is the one that was there before.
fn finish_older(folder: &Path) -> Result<(), Error> {
    let (store, replaced) = (folder.join(STORE_FOLDER), folder.join(REPLACED_FOLDER));
    if replaced.is_dir() && !store.exists() {
        fs_err::rename(&replaced, &store)?;
        fsync_folder(folder)?;
    }
    remove_if_there(&replaced)?;
    Ok(remove_if_there(&folder.join(REWRITTEN_FOLDER))?)
}

/// The folder that is named as that of the store.
fn named(folder: &Path) -> Result<Option<PathBuf>, Error> {
    let path = folder.join(NAME_FILE);
    let text = match fs_err::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => String::new(),
        Err(error) => return Err(error.into()),
    };
    let is_known = |name: &str| is_numbered(name) || name.strip_prefix(PREFIX) == Some(RESTORED);
    let name = text
        .trim_end()
        .split_once(' ')
        .and_then(|(name, checksum)| {
            let expected = format!("{:08x}", crc32fast::hash(name.as_bytes()));
            (is_known(name) && checksum == expected).then_some(name)
        });
    let name = name.ok_or_else(|| Error::Corrupt {
        path,
        reason: "the name of the store's folder cannot be read".to_owned(),
    })?;
    Ok(Some(folder.join(name)))
}

/// Returns whether a folder of this name is a successor that was made while the store was in use.
pub(crate) fn is_numbered(name: &str) -> bool {
    let number = name.strip_prefix(PREFIX);
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}

/// Removes what was made and not named: all numbered folders, none of which is the store.
fn remove_unnamed(folder: &Path) -> Result<(), Error> {
    // It says nothing; one that cannot be removed is overwritten by the next.
    drop(fs_err::remove_file(folder.join(NEW_NAME_FILE)));
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_numbered) {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_folder::{prepare, write_marker};

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
        let successor = Successor::numbered(folder, 1);
        drop(successor.nominate().unwrap());
        prepare(folder).unwrap();
        assert_eq!(db(folder), "store");
        assert_eq!(names(folder), ["store"]);
        make_store(folder, "store.1");
        successor.nominate().unwrap().commit().unwrap();
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
        Successor::numbered(folder, 2)
            .nominate()
            .unwrap()
            .commit()
            .unwrap();
        prepare(folder).unwrap();
        assert_eq!(db(folder), "store.2");
        assert_eq!(names(folder), ["store"]);
    }

    #[test]
    fn a_store_that_has_moved_already_is_not_looked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        make_store(folder, "store");
        Successor::numbered(folder, 1)
            .nominate()
            .unwrap()
            .commit()
            .unwrap();
        prepare(folder).unwrap();
        assert_eq!(names(folder), ["store"]);
    }

    #[test]
    fn a_name_that_is_damaged_or_gone_is_refused_and_no_store_removed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write_marker(folder).unwrap();
        make_store(folder, "store.1");
        Successor::numbered(folder, 1)
            .nominate()
            .unwrap()
            .commit()
            .unwrap();
        let path = folder.join(NAME_FILE);
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
        assert!(Successor::numbered(folder, 1).path().exists());
    }

    #[test]
    fn a_restored_store_is_the_store_from_the_moment_that_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let successor = Successor::restored(folder);
        make_store(folder, "store.restoring");
        let named = successor.nominate().unwrap();
        let unfinished = prepare(folder);
        assert!(matches!(unfinished, Err(Error::RestoreUnfinished { .. })));
        named.commit().unwrap();
        prepare(folder).unwrap();
        assert_eq!(db(folder), "store.restoring");
        assert_eq!(names(folder), ["store"]);
    }

    #[test]
    fn a_crash_after_any_step_of_moving_leaves_the_successor() {
        let folder = tempfile::tempdir().unwrap();
        for steps in 0..=3 {
            let folder = folder.path().join(steps.to_string());
            fs_err::create_dir(&folder).unwrap();
            for name in ["store", "store.1"] {
                make_store(&folder, name);
            }
            write_marker(&folder).unwrap();
            let successor = Successor::numbered(&folder, 1);
            successor.nominate().unwrap().commit().unwrap();
            let store = folder.join(STORE_FOLDER);
            let run: [&dyn Fn(); 3] = [
                // Half of the old store.
                &|| fs_err::remove_file(store.join("db")).unwrap(),
                &|| fs_err::remove_dir(&store).unwrap(),
                &|| fs_err::rename(successor.path(), &store).unwrap(),
            ];
            run[..steps].iter().for_each(|step| step());
            assert!(prepare(&folder).unwrap());
            assert_eq!(db(&folder), "store.1");
            assert_eq!(names(&folder), ["siamese.data", "store"]);
        }
    }

    #[test]
    fn what_a_compaction_of_an_older_version_has_left_is_put_right() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write_marker(folder).unwrap();
        // Between its two renames.
        for name in ["store.replaced", "store.rewritten"] {
            make_store(folder, name);
        }
        prepare(folder).unwrap();
        assert_eq!(db(folder), "store.replaced");
        assert_eq!(names(folder), ["siamese.data", "store"]);
        // After them.
        make_store(folder, "store.replaced");
        prepare(folder).unwrap();
        assert_eq!(names(folder), ["siamese.data", "store"]);
    }

    #[test]
    fn what_is_given_up_leaves_the_store_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in ["store", "store.1"] {
            make_store(folder, name);
        }
        let successor = Successor::numbered(folder, 1);
        drop(successor.nominate().unwrap());
        successor.give_up();
        assert_eq!(
            (names(folder), db(folder)),
            (vec!["store".to_owned()], "store".to_owned())
        );
    }
}
