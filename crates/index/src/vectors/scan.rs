//! What a search wants of a collection's vectors, and what it gets.

use roaring::RoaringBitmap;

/// What a search wants.
#[derive(Debug, Clone)]
pub(crate) struct Scan<'a> {
    /// Of length 1.
    pub(crate) query: &'a [f32],
    /// Documents to return.
    pub(crate) limit: usize,
    pub(crate) min_score: Option<f32>,
    /// Whether all documents that reach the threshold are to be named, not only counted.
    pub(crate) collects_reaching: bool,
    /// Passages that may be found: all of a document or none. `None` allows every passage.
    pub(crate) allowed: Option<&'a RoaringBitmap>,
    /// Whether every eligible vector must be scored.
    pub(crate) exact: bool,
    /// Candidates that a walk over a graph keeps.
    pub(crate) ef: usize,
    /// Whether more are kept for a query that needs it.
    pub(crate) widens: bool,
}

/// A document and its best passage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The document's number.
    pub document: u32,
    /// The passage's number.
    pub passage: u32,
    /// Cosine, -1 to 1; by words, the BM25 score.
    pub score: f32,
}

/// The best documents and how many there are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scanned {
    /// Best first.
    pub(crate) best: Vec<Candidate>,
    /// Documents that match.
    pub(crate) matching: u64,
    /// Which documents reach the threshold, if they were asked for.
    pub(crate) reaching: Option<RoaringBitmap>,
    /// Whether `matching` is their number, or at most as large as it.
    pub(crate) is_exact_count: bool,
}

impl Scan<'_> {
    /// Returns whether a living passage may be found.
    pub(super) fn allows(&self, passage: u32) -> bool {
        self.allowed.is_none_or(|allowed| allowed.contains(passage))
    }
}
