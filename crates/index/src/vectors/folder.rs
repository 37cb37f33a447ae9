//! Folders that must survive a power cut.

use std::path::Path;

/// Makes names that were made, renamed or removed in a folder durable.
pub(crate) fn fsync_folder(folder: &Path) -> std::io::Result<()> {
    fs_err::File::open(folder)?.sync_all()
}
