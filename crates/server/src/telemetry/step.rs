//! The parts of the work on a request.

/// A part of the work on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Reading the body.
    Body,
    /// Splitting texts and making tokens of them.
    Tokenize,
    /// Waiting for a model.
    Queue,
    /// A forward pass of an encoder.
    Encode,
    /// Finding hits.
    Search,
    /// A forward pass of a reranker.
    Rerank,
    /// Reading what hits hold, and writing the answer.
    Answer,
    /// Storing, until it is durable.
    Write,
}

impl Step {
    /// All of them, in the order in which a request comes to them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Body,
        Self::Tokenize,
        Self::Queue,
        Self::Encode,
        Self::Search,
        Self::Rerank,
        Self::Answer,
        Self::Write,
    ];

    /// What it is called in traces and metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Tokenize => "tokenize",
            Self::Queue => "queue",
            Self::Encode => "encode",
            Self::Search => "search",
            Self::Rerank => "rerank",
            Self::Answer => "answer",
            Self::Write => "write",
        }
    }
}
