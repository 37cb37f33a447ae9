//! What is known of a collection, for whoever keeps its documents elsewhere.

use crate::store::{CollectionId, CollectionRecord};
use crate::{CollectionEncoder, CollectionSettings};

/// A collection without its documents, in the bytes in which a data folder has it.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptCollection {
    /// When it was made, milliseconds since 1970.
    pub created_at_ms: u64,
    /// Its settings.
    pub settings: CollectionSettings,
    /// What makes its vectors.
    pub encoder: CollectionEncoder,
}

impl KeptCollection {
    /// The bytes, which later versions read as well.
    pub fn to_bytes(&self) -> Vec<u8> {
        let record = CollectionRecord {
            id: CollectionId(0),
            created_at_ms: self.created_at_ms,
            settings: self.settings,
            encoder: Some(self.encoder.clone()),
        };
        record.to_bytes()
    }

    /// Reads what [`Self::to_bytes`] has written; nothing when it is of a later version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let record = CollectionRecord::from_bytes(bytes)?;
        Some(Self {
            created_at_ms: record.created_at_ms,
            settings: record.settings,
            encoder: record.encoder?,
        })
    }
}
