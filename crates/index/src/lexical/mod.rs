//! Searching by words: BM25 over the same passages that have vectors.
//!
//! Immutable segments (tantivy) and a small head in memory make a [`LexicalSnapshot`], which is
//! published together with the vectors. Files are a cache of the record, which this folder does not
//! know. tantivy keeps terms and postings; scores are ours, so that head and segments score alike.

mod bm25;
mod builder;
mod compound;
mod connector;
mod documents;
mod folder;
mod head;
mod language;
mod manifest;
mod merge_policy;
mod part;
mod piece;
mod query;
mod row;
mod scores;
mod segment;
mod segment_list;
mod snapshot;
mod spelling;
mod visible;
mod words;

pub(crate) use builder::PieceBuilder;
pub(crate) use folder::LexicalFolder;
pub use language::Language;
pub(crate) use merge_policy::to_merge;
pub(crate) use piece::Piece;
pub use query::{MAX_QUERY_WORDS, WordQuery};
pub(crate) use scores::LexicalScores;
pub(crate) use segment::{LexicalFailure, LexicalSegment};
pub(crate) use segment_list::LexicalSegmentList;
pub(crate) use snapshot::LexicalSnapshot;
pub(crate) use words::WordCounts;
pub use words::WordSettings;
