//! A document that a search has found.

/// A document that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Cosine of query and best passage, -1 to 1; by words, their BM25 score; by both, the fused
    /// score.
    pub score: f32,
    /// What the fused score is made of.
    pub scores: Option<HitScores>,
    /// The document's id; [`Reader::read_hit`](super::Reader::read_hit) reads more of it.
    pub id: String,
    /// The internal number of its best passage.
    pub(super) passage: u32,
    /// Its internal number, which says that the document has not been replaced.
    pub(super) number: u32,
}

/// The scores of a document by either side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HitScores {
    /// Cosine of query and nearest passage, -1 to 1.
    pub semantic: f32,
    /// BM25 score of the best passage by words; 0 if none has any.
    pub lexical: f32,
}

impl Hit {
    /// The internal number of its document, which is another one whenever the text is replaced.
    pub fn number(&self) -> u32 {
        self.number
    }
}
