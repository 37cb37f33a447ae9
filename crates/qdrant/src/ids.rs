//! What points are called.

use qdrant_client::qdrant::PointId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Which version of a document something belongs to. Random, so that no two are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u64);

impl Version {
    pub(crate) fn new() -> Result<Self, siamese_index::Error> {
        getrandom::u64()
            .map(Self)
            .map_err(|error| siamese_index::Error::Io(std::io::Error::other(error)))
    }

    pub(crate) fn text(self) -> String {
        format!("{:016x}", self.0)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

/// The point of a document, or of a collection, by its name.
pub(crate) fn of_name(name: &str) -> Uuid {
    uuid(Sha256::new().chain_update(name))
}

/// The point of a passage.
pub(crate) fn of_passage(document: Uuid, version: Version, ordinal: u32) -> Uuid {
    uuid(
        Sha256::new()
            .chain_update(document.as_bytes())
            .chain_update(version.0.to_le_bytes())
            .chain_update(ordinal.to_le_bytes()),
    )
}

/// A point's name as the client wants it.
pub(crate) fn point(id: Uuid) -> PointId {
    PointId::from(id.to_string())
}

fn uuid(hasher: Sha256) -> Uuid {
    let hash: [u8; 32] = hasher.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    // Version 8 is for what an application makes in its own way.
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
