//! What a `model_type` stands for: a table, and a file for each way of naming tensors.

mod albert;
mod bert;
mod config;
mod deberta_v2;
mod distilbert;
mod gemma3;
mod gte;
mod jina_bert;
mod modernbert;
mod mpnet;
mod nomic_bert;
mod qwen3;
mod rope;

mod family;

pub(crate) use family::{Family, Transformer};
