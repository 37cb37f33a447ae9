//! Documents and passages, as they come and as they are stored.

use std::borrow::Borrow;

use crate::Error;

/// Bytes of a document's id.
pub const MAX_ID_BYTES: usize = 512;
/// Bytes of a document's metadata as JSON, merged patches included.
pub const MAX_METADATA_BYTES: usize = 1 << 20;
/// Passages of one document.
const MAX_PASSAGES: usize = 1 << 16;

/// Any JSON object.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// What a caller says about a document.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentDraft {
    /// Names the document within its collection; 1 to [`MAX_ID_BYTES`] bytes.
    pub id: String,
    /// Stands before the text when it is encoded.
    pub title: Option<String>,
    /// The text.
    pub text: String,
    /// Any JSON object; at most [`MAX_METADATA_BYTES`] of JSON.
    pub metadata: Metadata,
}

/// A document to store; the draft itself, or something that lends it.
#[derive(Debug, Clone)]
pub struct DocumentWrite<D = DocumentDraft> {
    /// The document.
    pub draft: D,
    /// Its passages; `None` says that title and text are as stored.
    pub passages: Option<Vec<NewPassage>>,
}

/// A document as another index had it.
#[derive(Debug, Clone)]
pub struct ImportedDocument {
    /// The document with its passages. Vectors of length 1 are kept bit for bit.
    pub write: DocumentWrite,
    /// When it was first stored there, milliseconds since 1970.
    pub created_at_ms: u64,
    /// When it last changed there, milliseconds since 1970.
    pub updated_at_ms: u64,
}

/// A part of a text with its vector.
#[derive(Debug, Clone)]
pub struct NewPassage {
    /// First byte in the text.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
    /// As long as the encoder's dimensions; of any length but zero.
    pub vector: Vec<f32>,
}

/// A document as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredDocument {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: Option<String>,
    /// Its text.
    pub text: String,
    /// Its metadata.
    pub metadata: Metadata,
    /// Number of passages.
    pub passages: usize,
    /// When it was first stored, milliseconds since 1970.
    pub created_at_ms: u64,
    /// When it last changed, milliseconds since 1970.
    pub updated_at_ms: u64,
}

/// A part of a stored text.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPassage {
    /// First byte in the text.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
    /// Its vector, of length 1, when asked for.
    pub vector: Option<Vec<f32>>,
}

impl<D: Borrow<DocumentDraft>> DocumentWrite<D> {
    /// The document.
    pub(crate) fn draft(&self) -> &DocumentDraft {
        self.draft.borrow()
    }

    /// Checks everything that does not depend on what is stored.
    pub(crate) fn check(&self, dimensions: usize) -> Result<(), Error> {
        let draft = self.draft();
        check_id(&draft.id)?;
        check_metadata(&draft.metadata, MAX_METADATA_BYTES)?;
        for passage in self.passages.iter().flatten() {
            passage.check(draft, dimensions)?;
        }
        match &self.passages {
            Some(passages) if passages.is_empty() || passages.len() > MAX_PASSAGES => {
                Err(Error::PassageCount {
                    id: draft.id.clone(),
                    passages: passages.len(),
                    max_passages: MAX_PASSAGES,
                })
            }
            _ => Ok(()),
        }
    }
}

impl NewPassage {
    fn check(&self, draft: &DocumentDraft, dimensions: usize) -> Result<(), Error> {
        if draft.text.get(self.start..self.end).is_none() {
            return Err(Error::PassageSpan {
                id: draft.id.clone(),
                start: self.start,
                end: self.end,
            });
        }
        check_vector(&self.vector, dimensions)
    }
}

pub(crate) fn check_id(id: &str) -> Result<(), Error> {
    if (1..=MAX_ID_BYTES).contains(&id.len()) {
        return Ok(());
    }
    Err(Error::IdLength {
        bytes: id.len(),
        max_bytes: MAX_ID_BYTES,
    })
}

/// Metadata of a size that is stored.
///
/// # Errors
/// [`Error::MetadataSize`].
pub fn check_metadata(metadata: &Metadata, max_bytes: usize) -> Result<(), Error> {
    let bytes = metadata_bytes(metadata);
    if bytes <= max_bytes {
        return Ok(());
    }
    Err(Error::MetadataSize { bytes, max_bytes })
}

/// Bytes of metadata as JSON.
pub fn metadata_bytes(metadata: &Metadata) -> usize {
    serde_json::to_string(metadata).map_or(usize::MAX, |json| json.len())
}

/// A vector that may enter: of the right length, finite, and not zero.
///
/// # Errors
/// What is wrong with it.
pub fn check_vector(vector: &[f32], dimensions: usize) -> Result<(), Error> {
    if vector.len() != dimensions {
        return Err(Error::VectorLength {
            length: vector.len(),
            dimensions,
        });
    }
    if let Some(place) = vector.iter().position(|value| !value.is_finite()) {
        return Err(Error::VectorNotFinite { place });
    }
    if vector.iter().all(|value| *value == 0.0) {
        return Err(Error::VectorZero);
    }
    Ok(())
}
