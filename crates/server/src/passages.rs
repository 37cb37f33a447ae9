//! The passages that the service would make of a text, for commands that work without one.

use std::ops::Range;

use siamese_encoder::{Encoder, TokenizedText};
use siamese_index::{Chunking, PassageSize};

use crate::blocking::Cancel;
use crate::service::{ChunkError, Chunker, default_chunking, default_passage_tokens, with_title};

/// How long texts become passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passages {
    /// As in a collection without settings of its own.
    OfDefaultSize,
    /// As in a collection with `"chunking": {"mode": "paragraph"}`, without overlap.
    ByParagraph,
}

/// Why a text has no passages.
#[derive(Debug, thiserror::Error)]
#[error("a text cannot be made into passages: {0}")]
pub struct PassagesError(#[from] ChunkError);

/// A part of a text.
#[derive(Debug, Clone)]
pub struct Passage {
    /// Where it is in the text, bytes.
    pub span: Range<usize>,
    /// The title and the part. Passages with the same have the same vector.
    pub text: String,
    /// What the encoder gets of it.
    pub tokens: TokenizedText,
}

/// Returns a text under its title, as it is encoded.
#[must_use]
pub fn under_title(title: Option<&str>, text: &str) -> String {
    with_title(title, text)
}

/// Returns the passages of a text, in their order.
///
/// # Errors
/// When the tokenizer fails.
pub fn passages(
    encoder: &Encoder,
    by: Passages,
    title: Option<&str>,
    text: &str,
) -> Result<Vec<Passage>, PassagesError> {
    let chunking = match by {
        Passages::OfDefaultSize => default_chunking(encoder),
        Passages::ByParagraph => Chunking::Paragraph(PassageSize {
            max_tokens: default_passage_tokens(encoder),
            overlap_tokens: 0,
        }),
    };
    let chunker = Chunker {
        cancel: &Cancel::default(),
        encoder,
        chunking,
        max_passages: usize::MAX,
    };
    let chunked = chunker.chunk(title, text)?;
    let passages = chunked.spans.into_iter().zip(chunked.tokenized);
    let passages = passages.map(|(span, tokens)| Passage {
        text: with_title(title, &text[span.clone()]),
        span,
        tokens,
    });
    Ok(passages.collect())
}
