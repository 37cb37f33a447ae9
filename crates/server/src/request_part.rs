//! What part of a request an error is about.

/// A part of a request, as the service names it. Where it stands in a body is known to
/// `routes/pointers.rs` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestPart {
    /// The text that is searched for.
    Query,
    /// The vector that is searched for.
    Vector,
    /// The document that is searched for more like.
    Id,
    /// What a search goes towards.
    Positive,
    /// The id of one of them.
    PositiveId(usize),
    /// What a search keeps away from.
    Negative,
    /// The id of one of them.
    NegativeId(usize),
    /// By what to search.
    Mode,
    /// The filter.
    Filter,
    /// One of the fields that are counted.
    Facet(usize),
    /// Where a list goes on.
    Cursor,
    /// The second stage of a search.
    Rerank,
    /// The text of one of the documents to store.
    DocumentText(usize),
    /// One of the texts to score.
    Text(usize),
    /// The first or the second of two items whose score is explained.
    ExplainedItem(usize),
    /// Its id.
    ExplainedId(usize),
    /// Which of its passages.
    ExplainedPassage(usize),
    /// The name of a prompt.
    PromptName,
    /// How long vectors are to be.
    Dimensions,
    /// What encodes the texts of a request.
    Model,
    /// What encodes the texts of a collection.
    Encoder,
}
