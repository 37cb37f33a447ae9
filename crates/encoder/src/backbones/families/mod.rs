//! What a `model_type` stands for: a table, and a file for each way of naming tensors.

mod albert;
mod bert;
mod config;
mod deberta_v2;
mod distilbert;
mod modernbert;
mod mpnet;

mod family;

pub(crate) use family::{Family, Transformer};
