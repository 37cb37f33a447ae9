//! How a store is opened.

use std::time::Duration;

use crate::Reclaim;

/// What a store may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreOptions {
    /// Memory for sled's page cache, bytes.
    pub(crate) cache_bytes: u64,
    /// Writes are refused when they would leave less than this free on the disk, bytes.
    pub(crate) min_free_disk_bytes: u64,
    /// When writes free dead parts of the log; `None` leaves that to sled.
    pub(crate) reclaim: Option<Reclaim>,
    /// A call into sled that takes longer than this hangs, as far as writes are concerned.
    pub(crate) stall_after: Duration,
}

#[cfg(test)]
impl StoreOptions {
    /// For small stores of tests.
    pub(crate) const SMALL: Self = Self {
        cache_bytes: 1 << 20,
        min_free_disk_bytes: 0,
        reclaim: None,
        stall_after: Duration::from_secs(60),
    };
}
