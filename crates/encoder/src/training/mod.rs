//! Encoders whose weights can be learned: the same folder and the same arithmetic, with derivatives.

mod adapter;
mod dropout;
mod learned;
pub(crate) mod ops;
mod parts;
mod saving;
mod trainable_encoder;

pub(crate) use adapter::Adapter;
pub use adapter::Adapters;
pub use dropout::Dropout;
pub(crate) use dropout::mask;
pub(crate) use learned::Learned;
pub use learned::LearnedWeight;
pub use trainable_encoder::{LearningOptions, TrainableEncoder};
