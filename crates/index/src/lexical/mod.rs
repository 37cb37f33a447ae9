//! Searching by words: BM25 over the same passages that have vectors.
//!
//! Immutable segments (tantivy) and a small head in memory make a [`LexicalIndex`]. tantivy keeps
//! terms and postings; scores are ours, so that head and segments score alike.

mod bm25;
mod builder;
mod compound;
mod connector;
mod documents;
mod head;
mod index;
mod language;
mod manifest;
mod part;
mod piece;
mod query;
mod row;
mod scores;
mod segment;
mod spelling;
mod visible;
mod word_counts;
mod words;

pub(crate) use builder::PieceBuilder;
pub(crate) use index::LexicalIndex;
pub use language::Language;
pub(crate) use piece::Piece;
pub use query::{MAX_QUERY_WORDS, WordQuery};
pub(crate) use scores::LexicalScores;
pub(crate) use segment::{LexicalFailure, LexicalSegment};
pub use word_counts::WordCounts;
pub use words::WordSettings;
