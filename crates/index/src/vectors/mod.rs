//! Searching by vector: cosines of passages, from immutable segments with graphs and a small head.
//!
//! A search holds on to the [`VectorSpace`] that it began with.

mod alike_pairs;
mod all_pairs;
mod beam;
mod best_documents;
mod chunk;
mod code_matrix;
mod codes;
mod contenders;
mod cosine;
mod exact_vectors;
mod freeze;
mod graft;
mod graph;
mod growing_graph;
mod head;
mod hnsw;
mod manifest;
mod principal_plane;
mod row;
mod scan;
mod scratch;
mod search;
mod segment;
mod segment_search;
mod shortlist;
mod sketch;
mod space;
mod top_k;
mod two_level;
mod unit_vector;

pub use alike_pairs::{AllPairs, Pair, PairSink, alike_pairs};
pub use all_pairs::{MostAlike, most_alike};
pub use cosine::cosine;
pub(crate) use exact_vectors::{ExactVectors, NoVectors};
pub(crate) use freeze::{FreezeFailure, freeze};
pub(crate) use hnsw::BuildOptions;
pub(crate) use manifest::Survivors;
pub(crate) use principal_plane::PrincipalPlane;
pub(crate) use row::{HeldRow, NewRow};
pub use scan::Candidate;
pub(crate) use scan::Scan;
pub(crate) use segment::VectorSegment;
pub(crate) use space::VectorSpace;
pub(crate) use top_k::TopK;
pub(crate) use two_level::Values;
pub use unit_vector::{mean_unit, normalized, unit_or_zero};
