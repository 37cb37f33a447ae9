//! Long texts to passages that fit the encoder's window.
//!
//! `borders` finds where a text may be cut, `split` chooses the cuts by counting tokens, and
//! `chunker` puts titles before passages and tokenises them. Nothing here knows the queue, the
//! index's contents or HTTP.

mod borders;
mod chunker;
mod size;
mod split;

pub(crate) use chunker::{ChunkError, ChunkedText, Chunker, with_title};
pub(crate) use size::{
    default_chunking, default_overlap, default_passage_tokens, min_passage_tokens, window,
};
