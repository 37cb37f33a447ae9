//! How much was encoded.

use super::Embedding;

/// What was encoded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EncodedPassages {
    pub(super) passages: u64,
    pub(super) tokens: u64,
    /// Passages that are longer than the encoder's window.
    pub(super) cut: u64,
}

impl EncodedPassages {
    pub(super) fn of(embeddings: &[Embedding]) -> Self {
        let tokens = embeddings
            .iter()
            .map(|embedding| embedding.tokens_kept as u64);
        let cut = embeddings
            .iter()
            .filter(|embedding| embedding.is_truncated());
        Self {
            passages: embeddings.len() as u64,
            tokens: tokens.sum(),
            cut: cut.count() as u64,
        }
    }
}

impl std::iter::Sum for EncodedPassages {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            passages: sum.passages + part.passages,
            tokens: sum.tokens + part.tokens,
            cut: sum.cut + part.cut,
        })
    }
}
