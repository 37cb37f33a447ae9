//! Room on the disk, looked at before each write.
//!
//! sled 0.34 refuses everything until it is opened again once a write has met a full disk, so
//! it must never meet one.

use std::path::Path;

use crate::Error;

/// How much larger a write of sled may become on disk: pages are written again as they grow.
pub(super) const WRITE_AMPLIFICATION: u64 = 4;

/// What a removed key may make sled write: every eleventh change of a page has it written whole, and
/// a page of the largest entries has 65 kB. Most have a third of that.
const BYTES_OF_REMOVAL: u64 = 2 << 10;

/// Part of the reserve that is kept free even from removals, since sled must never meet a full disk.
const KEPT_PART: u64 = 4;

/// Bytes that removing so many keys may take on the disk before it frees any.
pub(super) fn bytes_of_removing(keys: usize) -> u64 {
    (keys as u64).saturating_mul(BYTES_OF_REMOVAL)
}

/// What removals leave free on the disk, when other writes leave `reserve_bytes`.
pub(super) fn reserve_of_removing(reserve_bytes: u64) -> u64 {
    reserve_bytes / KEPT_PART
}

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
