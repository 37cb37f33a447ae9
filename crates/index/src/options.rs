//! How an index is opened.

use std::time::Duration;

use crate::CollectionSettings;
use crate::snapshots::SnapshotOptions;
use crate::store::{ContentCheck, Reclaim, StoreOptions};

/// How to open an index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexOptions {
    /// Memory for the store's page cache, bytes.
    pub cache_bytes: u64,
    /// Writes are refused when they would leave less than this free on the disk, bytes.
    pub min_free_disk_bytes: u64,
    /// Settings of the default collection when it is made.
    pub default_settings: CollectionSettings,
    /// Collections; one more is refused. What is there already is opened, however many there are.
    pub max_collections: usize,
    /// Aliases; one more is refused.
    pub max_aliases: usize,
    /// New passages that are scanned one by one until they become a segment. At least 1.
    pub max_head_passages: usize,
    /// Threads that build a graph in the background. At least 1.
    pub build_threads: usize,
    /// A store that takes more than so many times the bytes of its live data is compacted before it
    /// is opened; `None` leaves it as it is.
    pub compact_at_start_over_ratio: Option<f64>,
    /// A store that takes more than so many times the bytes of its live data while it is in use is
    /// compacted in the background; `None` lets it grow.
    pub compact_over_ratio: Option<f64>,
    /// When writes free dead parts of the store's log; `None` leaves that to sled.
    pub reclaim: Option<Reclaim>,
    /// When a write that has made no progress for so long is waited for in vain, and others are refused.
    pub stall_after: Duration,
    /// When the record is compared with what was stored: every entry is read for it.
    pub check: ContentCheck,
    /// Memory that the data may take, bytes: writes that would take more are refused. `None` leaves it
    /// to the machine.
    pub max_memory_bytes: Option<u64>,
    /// Where snapshots lie and what they may take.
    pub snapshots: SnapshotOptions,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 128 << 20,
            min_free_disk_bytes: 64 << 20,
            default_settings: CollectionSettings::default(),
            max_collections: usize::MAX,
            max_aliases: usize::MAX,
            max_head_passages: 4096,
            build_threads: 1,
            compact_at_start_over_ratio: Some(3.0),
            compact_over_ratio: Some(2.5),
            reclaim: Some(Reclaim::default()),
            stall_after: Duration::from_secs(10),
            check: ContentCheck::default(),
            max_memory_bytes: None,
            snapshots: SnapshotOptions::default(),
        }
    }
}

impl IndexOptions {
    pub(crate) fn store(&self) -> StoreOptions {
        StoreOptions {
            cache_bytes: self.cache_bytes,
            min_free_disk_bytes: self.min_free_disk_bytes,
            reclaim: self.reclaim,
            stall_after: self.stall_after,
            check: self.check,
        }
    }
}
