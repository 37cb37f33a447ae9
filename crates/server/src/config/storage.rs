//! Where the data is and how much room it may take.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use siamese_index::{ContentCheck, Reclaim};

use super::qdrant::{BackendKind, QdrantSettings};
use super::values::time_ms;
use crate::machine_memory;
use crate::settings_error::SettingsError;

/// The data may take one part in so many of the memory. The rest is for the model, the store's cache,
/// requests and answers, and for building segments.
const MEMORY_SHARE: u64 = 2;
/// Smallest ratio over which a store is compacted: one takes up to about 2.2 times its live data
/// right after it was compacted.
const MIN_COMPACTION_RATIO: f64 = 2.5;
/// Smallest ratio over which writes free dead parts of the log: with all of them freed, a store takes
/// up to about 1.75 times its live data.
const MIN_RECLAIM_RATIO: f64 = 1.75;

/// `[storage]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSettings {
    /// Who keeps the documents.
    pub backend: BackendKind,
    /// The cluster, where it does.
    pub qdrant: QdrantSettings,
    /// Folder with everything that must survive.
    pub data_dir: PathBuf,
    /// Page cache of the store, bytes.
    pub cache_bytes: u64,
    max_memory_bytes: u64,
    /// Free disk space under which writes are refused, bytes.
    pub min_free_disk_bytes: u64,
    check_before_serving: bool,
    compact_at_start_over_ratio: f64,
    compact_over_ratio: f64,
    reclaim_over_ratio: f64,
    /// How long a write may make no progress before others are refused.
    #[serde(rename = "stall_after_ms", deserialize_with = "time_ms")]
    pub stall_after: Duration,
    exit_after_stall_ms: u64,
    /// Folder with snapshots; `snapshots` in the data folder when absent.
    pub snapshots_dir: Option<PathBuf>,
    /// Snapshots that may lie there.
    pub max_snapshots: NonZeroUsize,
    /// Memory for what is replaced while a snapshot is taken, bytes.
    pub max_snapshot_memory_bytes: u64,
}

impl StorageSettings {
    /// Memory that the data may take; a share of what there is unless the settings say. Nothing where
    /// that cannot be told.
    pub fn max_memory_bytes(&self) -> Option<u64> {
        match self.max_memory_bytes {
            0 => machine_memory::bytes().map(|bytes| bytes / MEMORY_SHARE),
            bytes => Some(bytes),
        }
    }

    /// When all that is stored is compared with what should be.
    pub fn check(&self) -> ContentCheck {
        match self.check_before_serving {
            true => ContentCheck::BeforeReads,
            false => ContentCheck::BeforeWrites,
        }
    }

    /// How many times its live data a store may take before it is compacted at the start.
    pub fn compact_at_start_over_ratio(&self) -> Option<f64> {
        (self.compact_at_start_over_ratio > 0.0).then_some(self.compact_at_start_over_ratio)
    }

    /// How many times its live data a store may take before it is compacted while it is in use.
    pub fn compact_over_ratio(&self) -> Option<f64> {
        (self.compact_over_ratio > 0.0).then_some(self.compact_over_ratio)
    }

    /// When writes free dead parts of a store's log.
    pub fn reclaim(&self) -> Option<Reclaim> {
        (self.reclaim_over_ratio > 0.0).then_some(Reclaim {
            over_ratio: self.reclaim_over_ratio,
            ..Reclaim::default()
        })
    }

    /// How long a write may make no progress before the process ends; `None` when it never does.
    pub fn exit_after_stall(&self) -> Option<Duration> {
        (self.exit_after_stall_ms > 0).then(|| Duration::from_millis(self.exit_after_stall_ms))
    }

    pub(super) fn check_backend(&self) -> Result<(), SettingsError> {
        match self.backend {
            BackendKind::Embedded => Ok(()),
            BackendKind::Qdrant => self.qdrant.check(),
        }
    }

    pub(super) fn check_ratios(&self) -> Result<(), SettingsError> {
        for (key, ratio, min_ratio) in [
            (
                "storage.compact_at_start_over_ratio",
                self.compact_at_start_over_ratio,
                MIN_COMPACTION_RATIO,
            ),
            (
                "storage.compact_over_ratio",
                self.compact_over_ratio,
                MIN_COMPACTION_RATIO,
            ),
            (
                "storage.reclaim_over_ratio",
                self.reclaim_over_ratio,
                MIN_RECLAIM_RATIO,
            ),
        ] {
            if ratio != 0.0 && (ratio.is_nan() || ratio < min_ratio) {
                return Err(SettingsError::StoreRatio {
                    key,
                    ratio,
                    min_ratio,
                });
            }
        }
        Ok(())
    }
}
