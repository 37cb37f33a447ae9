//! A passage as a point with its vector.

use qdrant_client::qdrant::vector_output::Vector as OutputVector;
use qdrant_client::qdrant::vectors_output::VectorsOptions;
use qdrant_client::qdrant::{NamedVectors, PointStruct, Vector, Vectors, VectorsOutput};
use siamese_index::{Error, Metadata};
use uuid::Uuid;

use crate::error::unreadable;
use crate::ids::{self, Version};
use crate::payload::{self, Payload};
use crate::terms;
use crate::word_vector::WORDS;

/// The point of its document.
pub(crate) const DOCUMENT: &str = "document";
/// The version of the document that it belongs to.
pub(crate) const VERSION: &str = "version";
/// Its place among the passages of its document, from 0.
pub(crate) const ORDINAL: &str = "ordinal";
/// When it was written, milliseconds since 1970.
pub(crate) const WRITTEN: &str = "written_at_ms";

/// The name of its vector.
pub(crate) const MEANING: &str = "meaning";

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

/// The point of a passage; `words` are its sparse vector, where words are indexed.
pub(crate) fn point(
    owner: Owner,
    vector: Vec<f32>,
    words: Option<Vector>,
    terms: &Payload,
    now_ms: u64,
) -> PointStruct {
    let meaning = [(MEANING.to_owned(), Vector::from(vector))];
    let words = words.map(|words| (WORDS.to_owned(), words));
    let vectors = NamedVectors {
        vectors: meaning.into_iter().chain(words).collect(),
    };
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
        vectors: Some(Vectors::from(vectors)),
    }
}

/// The vector of a point that was read with it.
///
/// # Errors
/// When there is none.
pub(crate) fn vector(vectors: Option<VectorsOutput>) -> Result<Vec<f32>, Error> {
    let failed = || unreadable("the vector of a passage");
    let Some(VectorsOptions::Vectors(mut named)) =
        vectors.and_then(|vectors| vectors.vectors_options)
    else {
        return Err(failed());
    };
    let meaning = named.vectors.remove(MEANING).ok_or_else(failed)?;
    match meaning.into_vector() {
        OutputVector::Dense(dense) => Ok(dense.data),
        _ => Err(failed()),
    }
}
