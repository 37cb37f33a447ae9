//! What a snapshot says about itself.

use serde::{Deserialize, Serialize};

use crate::EncoderIdentity;

/// What is in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotManifest {
    /// Format of the data inside.
    pub data_format: u32,
    /// The encoder of collections that do not name another.
    pub encoder: EncoderIdentity,
    /// The moment that it shows, milliseconds since 1970.
    pub created_at_ms: u64,
    /// The collections, ordered by name.
    pub collections: Vec<CollectionCounts>,
    pub(super) sections: Vec<Section>,
}

/// How much of a collection is in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionCounts {
    /// Its name.
    pub name: String,
    /// What made its vectors; before format 7, what made all.
    pub encoder: Option<EncoderIdentity>,
    /// Its documents.
    pub documents: u64,
    /// Their passages; each has one vector.
    pub passages: u64,
}

/// Entries of one kind, which stand together in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) crc32: u32,
}

/// The manifest as it stands in the file, as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    data_format: u32,
    encoder: WrittenEncoder,
    created_at_ms: u64,
    collections: Vec<WrittenCounts>,
    sections: Vec<Section>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WrittenEncoder {
    id: String,
    name: String,
    dimensions: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct WrittenCounts {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoder: Option<WrittenEncoder>,
    documents: u64,
    passages: u64,
}

impl From<EncoderIdentity> for WrittenEncoder {
    fn from(identity: EncoderIdentity) -> Self {
        Self {
            id: identity.id,
            name: identity.name,
            dimensions: identity.dimensions,
        }
    }
}

impl From<WrittenEncoder> for EncoderIdentity {
    fn from(written: WrittenEncoder) -> Self {
        Self {
            id: written.id,
            name: written.name,
            dimensions: written.dimensions,
        }
    }
}

impl SnapshotManifest {
    /// Documents of all collections.
    pub fn documents(&self) -> u64 {
        let collections = self.collections.iter();
        let documents = collections.map(|counts| counts.documents);
        documents.fold(0, u64::saturating_add)
    }

    /// Passages of all collections.
    pub fn passages(&self) -> u64 {
        let collections = self.collections.iter();
        let passages = collections.map(|counts| counts.passages);
        passages.fold(0, u64::saturating_add)
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let written = Written {
            data_format: self.data_format,
            encoder: self.encoder.clone().into(),
            created_at_ms: self.created_at_ms,
            collections: self.collections.iter().cloned().map(Into::into).collect(),
            sections: self.sections.clone(),
        };
        serde_json::to_vec_pretty(&written).unwrap_or_default()
    }

    pub(super) fn from_json(json: &[u8]) -> Option<Self> {
        let written: Written = serde_json::from_slice(json).ok()?;
        Some(Self {
            data_format: written.data_format,
            encoder: written.encoder.into(),
            created_at_ms: written.created_at_ms,
            collections: written.collections.into_iter().map(Into::into).collect(),
            sections: written.sections,
        })
    }
}

impl From<CollectionCounts> for WrittenCounts {
    fn from(counts: CollectionCounts) -> Self {
        Self {
            name: counts.name,
            encoder: counts.encoder.map(Into::into),
            documents: counts.documents,
            passages: counts.passages,
        }
    }
}

impl From<WrittenCounts> for CollectionCounts {
    fn from(written: WrittenCounts) -> Self {
        Self {
            name: written.name,
            encoder: written.encoder.map(Into::into),
            documents: written.documents,
            passages: written.passages,
        }
    }
}
