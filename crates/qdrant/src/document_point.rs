//! A document as a point without vectors. It says which version of the document counts.

use qdrant_client::qdrant::{NamedVectors, PointStruct, Vectors};
use siamese_index::{ContentHash, DocumentDraft, Error, Metadata, StoredDocument, StoredPassage};
use uuid::Uuid;

use crate::error::unreadable;
use crate::ids::{self, Version};
use crate::payload::{self, Payload};
use crate::terms;

pub(crate) const ID: &str = "id";
pub(crate) const VERSION: &str = "version";
pub(crate) const TITLE: &str = "title";
pub(crate) const TEXT: &str = "text";
pub(crate) const METADATA: &str = "metadata";
/// First and last byte of each passage, one after the other.
pub(crate) const SPANS: &str = "spans";
const ENCODED_HASH: &str = "encoded_sha256";
const WHOLE_HASH: &str = "sha256";
pub(crate) const CREATED: &str = "created_at_ms";
pub(crate) const UPDATED: &str = "updated_at_ms";

/// What is read of a document before it is written.
pub(crate) const SUMMARY: &[&str] = &[
    ID,
    VERSION,
    SPANS,
    ENCODED_HASH,
    WHOLE_HASH,
    CREATED,
    UPDATED,
];
/// Everything but the terms, which nobody reads.
pub(crate) const WHOLE: &[&str] = &[
    ID,
    VERSION,
    TITLE,
    TEXT,
    METADATA,
    SPANS,
    ENCODED_HASH,
    WHOLE_HASH,
    CREATED,
    UPDATED,
];
/// The same without the text.
pub(crate) const WITHOUT_TEXT: &[&str] = &[
    ID,
    VERSION,
    TITLE,
    METADATA,
    SPANS,
    ENCODED_HASH,
    WHOLE_HASH,
    CREATED,
    UPDATED,
];

/// What is known of a document without its content.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    pub(crate) point: Uuid,
    pub(crate) id: String,
    pub(crate) version: Version,
    pub(crate) hash: ContentHash,
    pub(crate) spans: Vec<(usize, usize)>,
    pub(crate) created_at_ms: u64,
    pub(crate) updated_at_ms: u64,
}

impl Summary {
    /// # Errors
    /// A payload that this crate has not written.
    pub(crate) fn read(payload: &Payload) -> Result<Self, Error> {
        let id = payload::read_text(payload, ID)?.to_owned();
        Ok(Self {
            point: ids::of_name(&id),
            id,
            version: version(payload)?,
            hash: ContentHash {
                encoded: hash(payload, ENCODED_HASH)?,
                whole: hash(payload, WHOLE_HASH)?,
            },
            spans: spans(payload)?,
            created_at_ms: payload::read_integer(payload, CREATED)?,
            updated_at_ms: payload::read_integer(payload, UPDATED)?,
        })
    }

    /// The points of its passages.
    pub(crate) fn passages(&self) -> Vec<Uuid> {
        let ordinals = 0..self.spans.len() as u32;
        ordinals
            .map(|ordinal| ids::of_passage(self.point, self.version, ordinal))
            .collect()
    }

    /// Its passages, without vectors.
    pub(crate) fn stored_passages(&self) -> Vec<StoredPassage> {
        let spans = self.spans.iter();
        spans
            .map(|&(start, end)| StoredPassage {
                start,
                end,
                vector: None,
            })
            .collect()
    }
}

/// The document in a payload that has all but the terms.
///
/// # Errors
/// A payload that this crate has not written.
pub(crate) fn document(payload: &Payload) -> Result<StoredDocument, Error> {
    Ok(StoredDocument {
        id: payload::read_text(payload, ID)?.to_owned(),
        title: payload::optional_text(payload, TITLE).map(str::to_owned),
        text: payload::optional_text(payload, TEXT)
            .unwrap_or_default()
            .to_owned(),
        metadata: metadata(payload)?,
        passages: spans(payload)?.len(),
        created_at_ms: payload::read_integer(payload, CREATED)?,
        updated_at_ms: payload::read_integer(payload, UPDATED)?,
    })
}

/// # Errors
/// A payload that this crate has not written.
pub(crate) fn metadata(payload: &Payload) -> Result<Metadata, Error> {
    let json = payload::read_text(payload, METADATA)?;
    serde_json::from_str(json).map_err(|_| unreadable("the metadata of a document"))
}

/// # Errors
/// A payload that this crate has not written.
pub(crate) fn version(payload: &Payload) -> Result<Version, Error> {
    Version::parse(payload::read_text(payload, VERSION)?)
        .ok_or_else(|| unreadable("the version of a document"))
}

/// # Errors
/// A payload that this crate has not written.
pub(crate) fn spans(payload: &Payload) -> Result<Vec<(usize, usize)>, Error> {
    let ends = payload::read_integers(payload, SPANS)?;
    let spans = ends.chunks_exact(2);
    Ok(spans
        .map(|span| (span[0] as usize, span[1] as usize))
        .collect())
}

/// The point of a document.
pub(crate) fn point(draft: &DocumentDraft, summary: &Summary) -> PointStruct {
    let metadata = serde_json::to_string(&draft.metadata).unwrap_or_default();
    let ends = summary.spans.iter().flat_map(|&(start, end)| [start, end]);
    let mut fields = Payload::from([
        (ID.to_owned(), payload::text(&draft.id)),
        (VERSION.to_owned(), payload::text(summary.version.text())),
        (TEXT.to_owned(), payload::text(&draft.text)),
        (METADATA.to_owned(), payload::text(metadata)),
        (
            SPANS.to_owned(),
            payload::list(ends.map(|end| payload::integer(end as u64))),
        ),
        (
            ENCODED_HASH.to_owned(),
            payload::text(hex(&summary.hash.encoded)),
        ),
        (
            WHOLE_HASH.to_owned(),
            payload::text(hex(&summary.hash.whole)),
        ),
        (CREATED.to_owned(), payload::integer(summary.created_at_ms)),
        (UPDATED.to_owned(), payload::integer(summary.updated_at_ms)),
    ]);
    if let Some(title) = &draft.title {
        fields.insert(TITLE.to_owned(), payload::text(title));
    }
    terms::add_to(&mut fields, &draft.metadata);
    without_vectors(summary.point, fields)
}

/// A point that has a payload only.
pub(crate) fn without_vectors(id: Uuid, payload: Payload) -> PointStruct {
    let none = Vectors::from(NamedVectors::default());
    PointStruct {
        id: Some(ids::point(id)),
        payload,
        vectors: Some(none),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _to_a_string = write!(hex, "{byte:02x}");
        hex
    })
}

pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let places = (0..text.len()).step_by(2);
    places
        .map(|place| u8::from_str_radix(text.get(place..place + 2)?, 16).ok())
        .collect()
}

fn hash(payload: &Payload, key: &str) -> Result<[u8; 32], Error> {
    let bytes = from_hex(payload::read_text(payload, key)?);
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| unreadable("the hash of a document"))
}
