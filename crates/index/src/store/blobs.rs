//! The folder in which sled puts values that are too large for its log. There should be none.

use std::path::Path;
use std::sync::Mutex;

use rustix::fs::Dir;

use super::lock;
use crate::Error;

const FOLDER: &str = "blobs";

/// The folder, open for as long as the store is: a flush must not need a file handle that the
/// system may not have.
#[derive(Debug)]
pub(super) struct Blobs(Mutex<Dir>);

impl Blobs {
    /// Of the store in a folder, which sled has opened.
    pub(super) fn open(store: &Path) -> Result<Self, Error> {
        let folder = fs_err::File::open(store.join(FOLDER))?;
        let folder = Dir::new(folder.into_parts().0).map_err(std::io::Error::from)?;
        Ok(Self(Mutex::new(folder)))
    }

    /// Makes what there is survive a power cut; sled does not. Opens nothing on Linux.
    pub(super) fn sync(&self, store: &Path) -> Result<(), Error> {
        let mut folder = lock(&self.0);
        if has_entries(&mut folder)? {
            sync_all(&folder, store)?;
        }
        Ok(())
    }
}

fn has_entries(folder: &mut Dir) -> Result<bool, Error> {
    folder.rewind();
    while let Some(entry) = folder.read() {
        let entry = entry.map_err(std::io::Error::from)?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(target_os = "linux")]
fn sync_all(folder: &Dir, _store: &Path) -> Result<(), Error> {
    let folder = folder.fd().map_err(std::io::Error::from)?;
    Ok(rustix::fs::syncfs(folder).map_err(std::io::Error::from)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_all(_folder: &Dir, store: &Path) -> Result<(), Error> {
    Ok(crate::durable_files::fsync_tree(store)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_seen_whenever_it_comes() {
        let store = tempfile::tempdir().unwrap();
        let folder = store.path().join(FOLDER);
        fs_err::create_dir(&folder).unwrap();
        let blobs = Blobs::open(store.path()).unwrap();
        let sees_files = || has_entries(&mut lock(&blobs.0)).unwrap();
        assert!(!sees_files());
        fs_err::write(folder.join("1"), "x").unwrap();
        assert!(sees_files());
        blobs.sync(store.path()).unwrap();
        fs_err::remove_file(folder.join("1")).unwrap();
        assert!(!sees_files());
    }
}
