//! How long passages are when nobody says.

use siamese_encoder::Encoder;
use siamese_index::{Chunking, PassageSize};

/// Passages shorter than this say too little, and their titles would leave no room for text.
const MIN_PASSAGE_TOKENS: u32 = 16;
/// A longer passage speaks of several things, and its vector, a mean, of none of them clearly; small
/// sentence encoders were trained on texts of about this length.
const DEFAULT_PASSAGE_TOKENS: u32 = 128;
/// Of a passage of default size, this part is repeated in the next one.
const DEFAULT_OVERLAP_PART: u32 = 8;

/// Passages of default size that end at sentences.
pub(crate) fn default_chunking(encoder: &Encoder) -> Chunking {
    let max_tokens = default_passage_tokens(encoder);
    Chunking::Sentence(PassageSize {
        max_tokens,
        overlap_tokens: default_overlap(max_tokens),
    })
}

/// Tokens of a passage when a collection does not say.
pub(crate) fn default_passage_tokens(encoder: &Encoder) -> u32 {
    DEFAULT_PASSAGE_TOKENS.min(window(encoder))
}

/// What is repeated of passages of a size.
pub(crate) fn default_overlap(max_tokens: u32) -> u32 {
    max_tokens / DEFAULT_OVERLAP_PART
}

/// The fewest tokens of a passage that a collection may ask for.
pub(crate) fn min_passage_tokens(encoder: &Encoder) -> u32 {
    MIN_PASSAGE_TOKENS.min(window(encoder))
}

/// The encoder's window.
pub(crate) fn window(encoder: &Encoder) -> u32 {
    u32::try_from(encoder.info().max_tokens).unwrap_or(u32::MAX)
}
