//! Room on the disk, looked at before each write.
//!
//! sled 0.34 refuses everything until it is opened again once a write has met a full disk, so
//! it must never meet one.

use std::path::Path;

use crate::Error;

/// How much larger a write of sled may become on disk: pages are written again as they grow.
pub(super) const WRITE_AMPLIFICATION: u64 = 4;

/// Refuses a write that takes `bytes` on disk and would leave less than `reserve_bytes`.
pub(crate) fn check(folder: &Path, bytes: u64, reserve_bytes: u64) -> Result<(), Error> {
    let status = rustix::fs::statvfs(folder).map_err(std::io::Error::from)?;
    let free_bytes = status.f_bavail.saturating_mul(status.f_frsize);
    let needed_bytes = bytes.saturating_add(reserve_bytes);
    if free_bytes >= needed_bytes {
        return Ok(());
    }
    Err(Error::StorageFull {
        needed_bytes,
        free_bytes,
    })
}
