//! Transformers through candle's tensors: any device, padded batches.
//!
//! The generic path, and what faster ones are compared with.

mod backbone;
mod weights;

pub(super) use backbone::CandleBackbone;
