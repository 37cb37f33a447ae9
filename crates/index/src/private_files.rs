//! Keeping what is stored from other users of the machine.
//!
//! New files get their permissions from the process (its umask), which covers those that sled and
//! tantivy make. Here what an older version has made is put right.

use std::path::Path;

#[cfg(unix)]
const PRIVATE_FOLDER: u32 = 0o700;
#[cfg(unix)]
const PRIVATE_FILE: u32 = 0o600;

/// Takes from others what they may do with a folder and everything in it.
pub(crate) fn tighten_all(path: &Path) {
    if !tighten(path) {
        return;
    }
    if let Ok(entries) = fs_err::read_dir(path) {
        for entry in entries.flatten() {
            tighten_all(&entry.path());
        }
    }
}

/// Takes from others what they may do with a file or a folder. What belongs to another user is left
/// alone, and what cannot be changed is told in the log. Returns whether it is a folder of this
/// user.
#[cfg(unix)]
pub(crate) fn tighten(path: &Path) -> bool {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    // A link is not followed: what it leads to may be anybody's.
    let Ok(metadata) = fs_err::symlink_metadata(path) else {
        return false;
    };
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !is_ours || metadata.is_symlink() {
        return false;
    }
    let wanted = if metadata.is_dir() {
        PRIVATE_FOLDER
    } else {
        PRIVATE_FILE
    };
    // Never more than there was.
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & !wanted != 0 {
        let permissions = std::fs::Permissions::from_mode(mode & wanted);
        if let Err(error) = fs_err::set_permissions(path, permissions) {
            tracing::warn!(%error, "other users may read what is stored");
        }
    }
    metadata.is_dir()
}

#[cfg(not(unix))]
pub(crate) fn tighten(path: &Path) -> bool {
    path.is_dir()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn folders_and_files_become_private_and_what_links_lead_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
        let set = |path: &Path, mode| {
            fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let (data, outside) = (folder.path().join("data"), folder.path().join("outside"));
        let (inner, file) = (data.join("inner"), data.join("inner").join("file"));
        fs_err::create_dir_all(&inner).unwrap();
        for path in [&file, &outside] {
            fs_err::write(path, "x").unwrap();
            set(path, 0o644);
        }
        set(&inner, 0o755);
        set(&data, 0o750);
        std::os::unix::fs::symlink(&outside, data.join("link")).unwrap();
        tighten_all(&data);
        let modes = [&data, &inner, &file, &outside].map(|path| mode(path));
        assert_eq!(modes, [0o700, 0o700, 0o600, 0o644]);
    }
}
