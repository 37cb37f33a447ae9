//! Encoders whose weights can be learned: the same folder and the same arithmetic, with derivatives.

mod dropout;
pub(crate) mod ops;
mod saving;
mod trainable_encoder;

pub use dropout::Dropout;
pub use trainable_encoder::{LearnedWeight, TrainableEncoder};
