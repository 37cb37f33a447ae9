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
    /// Which of its passages is the best, by the number that whoever found it knows it by.
    pub(super) passage: u32,
    /// Its internal number, which says that the document has not been replaced.
    pub(super) number: u64,
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
    /// A document that another keeper of documents has found. `number` and `passage` are its own: no two
    /// versions of documents have the same number.
    pub fn found_elsewhere(id: String, score: f32, number: u64, passage: u32) -> Self {
        Self {
            score,
            scores: None,
            id,
            passage,
            number,
        }
    }

    /// The internal number of its document, which is another one whenever the text is replaced.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The number of its best passage.
    pub fn passage(&self) -> u32 {
        self.passage
    }
}
