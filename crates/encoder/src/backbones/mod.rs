//! Transformers: token ids in, token states out.
//!
//! `families/` says what a model folder's transformer is, as data; `packed/` runs it on a CPU, and
//! `candle/` on any device. Families that it does not describe, `candle_models/` runs. Static embeddings have no
//! layers at all: a token's state is its row of a table.

mod architecture;
mod backbone;
mod candle;
mod candle_models;
mod families;
mod opening;
#[expect(
    unsafe_code,
    reason = "threads share buffers, and kernels take raw rows; see there"
)]
mod packed;
mod packed_batch;
mod relative_bias;
mod rotary;
mod static_embeddings;

pub(crate) use backbone::{Backbone, BackboneOptions, Pause};
pub(crate) use candle::{CandleBackbone, Pass};
pub(crate) use families::Family;
pub(crate) use opening::{open, open_to_learn};
pub(crate) use packed_batch::{PackedBatch, TokenStates};
pub(crate) use static_embeddings::StaticEmbeddings;
