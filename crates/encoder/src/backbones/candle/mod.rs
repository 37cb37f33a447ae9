//! Transformers through candle's tensors: any device, padded batches.
//!
//! The generic path, and what faster ones are compared with.

mod backbone;
mod linear;
mod pass;
mod weights;

pub(crate) use backbone::CandleBackbone;
pub(crate) use pass::Pass;
