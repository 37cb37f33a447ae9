//! The packed forward pass on a CPU for BERT and its relatives.
//!
//! BERT, RoBERTa, XLM-R, CamemBERT and DistilBERT share it: they differ in the names of their
//! tensors, in how they count positions, and in numbers. No token is padding, weights are packed
//! once, and what can be done while a value is in the cache is done then. Everything that depends
//! on the CPU is in [`siamese_kernels`].

mod attention;
mod backbone;
mod chunks;
mod config;
mod forward;
mod names;
mod weights;
mod workspace;

pub(crate) use backbone::PackedBert;
pub(crate) use config::FamilyConfig;
