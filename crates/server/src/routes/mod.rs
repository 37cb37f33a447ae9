//! One file for each noun of the API: handlers with their request and response shapes.
//!
//! Shapes are checked here and turned into the types of `service`; nothing below sees JSON.

pub(crate) mod clusters;
pub(crate) mod cohere;
pub(crate) mod collections;
pub(crate) mod dialect;
pub(crate) mod docs;
pub(crate) mod documents;
pub(crate) mod duplicates;
pub(crate) mod embed;
pub(crate) mod embed_all;
mod embed_input;
pub(crate) mod encoder;
pub(crate) mod explanation;
pub(crate) mod export;
pub(crate) mod facets;
pub(crate) mod feedback;
pub(crate) mod filter;
pub(crate) mod generations;
pub(crate) mod health;
pub(crate) mod hits;
pub(crate) mod info;
mod item;
pub(crate) mod jobs;
mod lines;
pub(crate) mod main_task;
mod mode;
mod on_duplicate;
mod pointers;
pub(crate) mod predict;
pub(crate) mod problems;
pub(crate) mod rerank;
pub(crate) mod reranker;
pub(crate) mod search;
pub(crate) mod search_batch;
pub(crate) mod search_query;
pub(crate) mod similarity;
pub(crate) mod snapshots;
mod timestamp;
pub(crate) mod tokenize;
pub(crate) mod train;
pub(crate) mod training_pairs;
mod truncation;
pub(crate) mod v1;
