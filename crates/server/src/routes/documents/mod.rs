//! Documents: write, stream, read, list, change metadata, delete.

pub(crate) mod delete;
pub(crate) mod patch;
pub(crate) mod read;
pub(crate) mod write;

mod duplicates;
mod input;
#[cfg(any(test, fuzzing))]
pub(crate) use input::DocumentInput;
pub(crate) use input::{check_id, check_text};
mod stream;
mod unread;
pub(crate) use stream::is_ndjson;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use siamese_index::{StoredDocument, StoredPassage};
use utoipa::{IntoParams, ToSchema};

use super::timestamp::rfc3339;

/// Bytes of a document's id.
pub(crate) const MAX_ID_BYTES: usize = siamese_index::MAX_ID_BYTES;

/// Which document, where its id is no part of the path.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct IdQuery {
    /// The document's id. Every id can stand here; clients take some for steps in a path, such as `..`.
    #[param(min_length = 1)]
    pub(super) id: String,
}

/// A stored document.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentDescription {
    /// The document's id.
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// The text; on a page of documents only with `include=text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Any JSON object.
    metadata: Map<String, Value>,
    /// The parts of the text that have a vector each.
    #[serde(skip_serializing_if = "Option::is_none")]
    passages: Option<Vec<PassageDescription>>,
    /// When the document was first stored; RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// A part of a text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PassageDescription {
    /// First byte of the passage in the text.
    start: usize,
    /// The byte after its last.
    end: usize,
    /// Its embedding, of unit length; only with `include=vectors`.
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<Vec<f32>>,
}

impl DocumentDescription {
    /// A whole document.
    pub(crate) fn with_passages(document: StoredDocument, passages: Vec<StoredPassage>) -> Self {
        let describe = |passage: StoredPassage| PassageDescription {
            start: passage.start,
            end: passage.end,
            vector: passage.vector,
        };
        Self {
            passages: Some(passages.into_iter().map(describe).collect()),
            ..Self::new(document)
        }
    }

    fn new(document: StoredDocument) -> Self {
        Self {
            id: document.id,
            title: document.title,
            text: Some(document.text),
            metadata: document.metadata,
            passages: None,
            created_at: rfc3339(document.created_at_ms),
            updated_at: rfc3339(document.updated_at_ms),
        }
    }
}
