//! How a store is opened.

use std::time::Duration;

use super::ContentCheck;

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
    /// When its contents are compared with the tally.
    pub(crate) check: ContentCheck,
}

/// When dead parts of the store's log are freed: while the store takes more than both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reclaim {
    /// Times the bytes of its live data.
    pub over_ratio: f64,
    /// Bytes. sled's log grows in steps of half a MiB, several at once.
    pub over_bytes: u64,
}

impl Default for Reclaim {
    fn default() -> Self {
        Self {
            over_ratio: 2.0,
            over_bytes: 8 << 20,
        }
    }
}

#[cfg(test)]
impl StoreOptions {
    /// For small stores of tests.
    pub(crate) const SMALL: Self = Self {
        cache_bytes: 1 << 20,
        min_free_disk_bytes: 0,
        reclaim: None,
        stall_after: Duration::from_secs(60),
        check: ContentCheck::BeforeReads,
    };
}
