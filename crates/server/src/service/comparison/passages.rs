//! What the texts of a generation have become: passages, and their tokens.

use siamese_encoder::{Encoder, InputKind};
use siamese_index::Reader;

use crate::error::ApiError;
use crate::service::with_title;

/// Documents that are looked at, and bytes of them.
const MAX_DOCUMENTS: usize = 200;
const MAX_BYTES: usize = 1 << 20;

/// The first documents of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PassageSample {
    pub(crate) documents: usize,
    pub(crate) passages: usize,
    /// Tokens of their passages that were encoded.
    pub(crate) tokens: usize,
    /// Passages that are longer than the encoder's window, so that their ends were not encoded.
    pub(crate) cut: usize,
}

/// Counts what is in the first documents.
///
/// # Errors
/// What the store or the tokenizer fails with, or what `step` returns.
pub(super) fn sample(
    reader: &Reader,
    encoder: &Encoder,
    step: &dyn Fn(usize) -> Result<(), ApiError>,
) -> Result<PassageSample, ApiError> {
    let mut sample = PassageSample::default();
    let documents = reader.list_whole(None, MAX_DOCUMENTS, MAX_BYTES, false)?;
    for (document, passages) in documents {
        sample.documents += 1;
        for passage in passages {
            let text = document.text.get(passage.start..passage.end);
            let text = with_title(document.title.as_deref(), text.unwrap_or_default());
            step(text.len())?;
            let tokenized = encoder.tokenize(&text, InputKind::Document);
            let tokenized = tokenized.map_err(ApiError::internal)?;
            sample.passages += 1;
            sample.tokens += tokenized.tokens_kept();
            sample.cut += usize::from(tokenized.is_truncated());
        }
    }
    Ok(sample)
}
