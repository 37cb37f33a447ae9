//! Training of models by the service.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::machine_memory;

/// A training may take one part in so many of the memory.
const MEMORY_SHARE: u64 = 4;

/// `[training]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    directory: PathBuf,
    /// Models that may be in the folder.
    pub max_models: NonZeroUsize,
    /// How long one training learns at most, minutes.
    pub max_minutes: NonZeroU64,
    max_memory_bytes: u64,
}

impl TrainingSettings {
    /// The folder with trained models; nothing when there is none.
    pub fn directory(&self) -> Option<&Path> {
        Some(self.directory.as_path()).filter(|folder| !folder.as_os_str().is_empty())
    }

    /// Memory that one training may take; a share of what there is unless the settings say.
    pub fn max_memory_bytes(&self) -> u64 {
        match self.max_memory_bytes {
            0 => machine_memory::bytes().map_or(u64::MAX, |bytes| bytes / MEMORY_SHARE),
            bytes => bytes,
        }
    }
}
