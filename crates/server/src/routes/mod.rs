//! One file for each noun of the API: handlers with their request and response shapes.
//!
//! Shapes are checked here and turned into the types of `service`; nothing below sees JSON.

pub(crate) mod collections;
pub(crate) mod docs;
pub(crate) mod documents;
pub(crate) mod embed;
pub(crate) mod encoder;
pub(crate) mod export;
pub(crate) mod facets;
pub(crate) mod filter;
pub(crate) mod health;
pub(crate) mod hits;
pub(crate) mod info;
mod item;
mod mode;
pub(crate) mod problems;
pub(crate) mod rerank;
pub(crate) mod reranker;
pub(crate) mod search;
pub(crate) mod search_batch;
pub(crate) mod similarity;
pub(crate) mod snapshots;
mod text_list;
mod timestamp;
pub(crate) mod v1;
