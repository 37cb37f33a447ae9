//! Vectors: immutable segments with graphs, a small head, and what is dead of both.
//!
//! A writer makes a new [`Snapshot`] and publishes it; a search holds on to the one it began with.
//! Files of segments are a cache of the record, which this folder does not know.

mod alike_pairs;
mod all_pairs;
mod beam;
mod best_documents;
mod chunk;
mod code_matrix;
mod codes;
mod cosine;
mod freeze;
mod graft;
mod graph;
mod growing_graph;
mod head;
mod hnsw;
mod manifest;
mod merge_policy;
mod row;
mod scan;
mod scratch;
mod search;
mod segment;
mod segment_folder;
mod segment_list;
mod segment_search;
mod snapshot;
mod top_k;
mod unit_vector;

pub use alike_pairs::{Pair, alike_pairs};
pub use all_pairs::{MostAlike, most_alike};
pub use cosine::cosine;
pub(crate) use freeze::{FreezeFailure, freeze};
pub(crate) use hnsw::BuildOptions;
pub(crate) use merge_policy::{SegmentSize, to_merge};
pub(crate) use row::{NewRow, Row};
pub(crate) use scan::{Candidate, Scan};
pub(crate) use segment::Segment;
pub(crate) use segment_folder::{FoundSegments, SegmentFolder};
pub(crate) use segment_list::SegmentList;
pub(crate) use snapshot::{SegmentsState, Snapshot};
pub(crate) use top_k::TopK;
pub use unit_vector::normalized;
