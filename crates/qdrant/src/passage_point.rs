//! A passage as a point with its vector.

use qdrant_client::qdrant::vector_output::Vector;
use qdrant_client::qdrant::vectors_output::VectorsOptions;
use qdrant_client::qdrant::{PointStruct, Vectors, VectorsOutput};
use siamese_index::{Error, Metadata};
use uuid::Uuid;

use crate::error::unreadable;
use crate::ids::{self, Version};
use crate::payload::{self, Payload};
use crate::terms;

/// The point of its document.
pub(crate) const DOCUMENT: &str = "document";
/// The version of the document that it belongs to.
pub(crate) const VERSION: &str = "version";
/// Its place among the passages of its document, from 0.
pub(crate) const ORDINAL: &str = "ordinal";
/// When it was written, milliseconds since 1970.
pub(crate) const WRITTEN: &str = "written_at_ms";

/// What a search reads of it.
pub(crate) const OWNER: &[&str] = &[DOCUMENT, VERSION, ORDINAL];

/// Which passage of which version of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) document: Uuid,
    pub(crate) version: Version,
    pub(crate) ordinal: u32,
}

impl Owner {
    /// # Errors
    /// A payload that this crate has not written.
    pub(crate) fn read(payload: &Payload) -> Result<Self, Error> {
        let failed = || unreadable("a passage");
        let document = payload::read_text(payload, DOCUMENT)?;
        let version = payload::read_text(payload, VERSION)?;
        let ordinal = payload::read_integer(payload, ORDINAL)?;
        Ok(Self {
            document: document.parse().map_err(|_| failed())?,
            version: Version::parse(version).ok_or_else(failed)?,
            ordinal: u32::try_from(ordinal).map_err(|_| failed())?,
        })
    }

    pub(crate) fn point(self) -> Uuid {
        ids::of_passage(self.document, self.version, self.ordinal)
    }
}

/// The terms of a document's metadata, which each of its passages has.
pub(crate) fn terms_of(metadata: &Metadata) -> Payload {
    let mut payload = Payload::new();
    terms::add_to(&mut payload, metadata);
    payload
}

/// The point of a passage.
pub(crate) fn point(owner: Owner, vector: Vec<f32>, terms: &Payload, now_ms: u64) -> PointStruct {
    let mut payload = terms.clone();
    payload.extend([
        (
            DOCUMENT.to_owned(),
            payload::text(owner.document.to_string()),
        ),
        (VERSION.to_owned(), payload::text(owner.version.text())),
        (ORDINAL.to_owned(), payload::integer(owner.ordinal.into())),
        (WRITTEN.to_owned(), payload::integer(now_ms)),
    ]);
    PointStruct {
        id: Some(ids::point(owner.point())),
        payload,
        vectors: Some(Vectors::from(vector)),
    }
}

/// The vector of a point that was read with it.
///
/// # Errors
/// When there is none.
pub(crate) fn vector(vectors: Option<VectorsOutput>) -> Result<Vec<f32>, Error> {
    let failed = || unreadable("the vector of a passage");
    match vectors.and_then(|vectors| vectors.vectors_options) {
        Some(VectorsOptions::Vector(vector)) => match vector.into_vector() {
            Vector::Dense(dense) => Ok(dense.data),
            _ => Err(failed()),
        },
        _ => Err(failed()),
    }
}
