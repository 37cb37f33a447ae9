//! What is chosen when a collection is made.

/// Settings of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CollectionSettings {
    /// How long texts become passages.
    pub chunking: Chunking,
}

/// How long texts become passages. The index keeps this and does not act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chunking {
    /// One passage a document, whatever its length.
    #[default]
    Off,
    /// Passages that end at paragraphs and sentences where they can.
    Sentence(PassageSize),
    /// Passages as long as they may be, cut between words.
    Fixed(PassageSize),
}

/// How long passages are, in tokens of the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassageSize {
    /// Tokens of a passage; title, prompt and special tokens count.
    pub max_tokens: u32,
    /// Tokens at the end of a passage that the next one repeats, at most.
    pub overlap_tokens: u32,
}
