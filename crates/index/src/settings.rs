//! What is chosen when a collection is made.

/// Settings of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CollectionSettings {
    /// How long texts become passages.
    pub chunking: Chunking,
}

/// How long texts become passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chunking {
    /// One passage a document.
    #[default]
    Off,
}
