//! Transformers as candle-transformers has them: families that nobody has described as data.

mod deberta_v2;
mod tensors;

pub(super) use deberta_v2::DebertaV2Backbone;
