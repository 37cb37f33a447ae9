//! Transformers: token ids in, token states out. One file for each architecture.

mod bert;
mod packed;

use std::path::Path;

use candle_core::Device;

use crate::Error;
pub(crate) use packed::{PackedBatch, TokenStates};

/// A transformer without its head.
pub(crate) trait Backbone: Send + Sync + std::fmt::Debug {
    /// The last layer's state of every token of a batch.
    ///
    /// # Errors
    /// When a computation fails.
    fn forward(&self, batch: &PackedBatch) -> Result<TokenStates, Error>;

    /// Which implementation this is.
    fn path(&self) -> &'static str;
}

/// Opens the backbone for a `model_type`.
///
/// # Errors
/// An unknown architecture, or files that are missing or damaged.
pub(crate) fn open(
    folder: &Path,
    model_type: &str,
    weights: Vec<u8>,
    device: &Device,
) -> Result<Box<dyn Backbone>, Error> {
    match model_type {
        "bert" => Ok(Box::new(bert::CandleBert::open(folder, weights, device)?)),
        other => Err(Error::UnsupportedModelType {
            model_type: other.to_owned(),
        }),
    }
}
