//! Transformers: token ids in, token states out.
//!
//! `families/` says what a model folder's transformer is, as data; `packed/` runs it on a CPU, and
//! `candle/` on any device.

mod architecture;
mod candle;
mod families;
#[expect(
    unsafe_code,
    reason = "threads share buffers, and kernels take raw rows; see there"
)]
mod packed;
mod packed_batch;
mod relative_bias;
mod rotary;

use std::path::Path;

use candle_core::Device;

use crate::Error;
use candle::CandleBackbone;
pub(crate) use families::Family;
use packed::PackedBackbone;
pub(crate) use packed_batch::{PackedBatch, TokenStates};
use siamese_kernels::{Kernels, Precision};

/// What a thread does between two layers of a pass in the background.
pub(crate) type Pause<'a> = dyn Fn() + Sync + 'a;

/// A transformer without its head.
pub(crate) trait Backbone: Send + Sync + std::fmt::Debug {
    /// The last layer's state of every token of a batch.
    ///
    /// # Errors
    /// When a computation fails.
    fn forward(&self, batch: &mut PackedBatch) -> Result<TokenStates, Error>;

    /// The same while other passes go on. A backbone that brings threads has others for this,
    /// with the priority of the thread that calls first, and calls `pause` on them between layers.
    ///
    /// # Errors
    /// When a computation fails, or the operating system gives no threads.
    fn forward_in_background(
        &self,
        batch: &mut PackedBatch,
        _pause: &Pause<'_>,
    ) -> Result<TokenStates, Error> {
        self.forward(batch)
    }

    /// Which implementation this is, and which instructions it uses.
    fn path(&self) -> String;

    /// Whether its threads are its own; otherwise it runs on those of the caller's pool.
    fn brings_threads(&self) -> bool;
}

/// How to run a backbone.
#[derive(Debug)]
pub(crate) struct BackboneOptions {
    pub(crate) device: Device,
    /// Threads of the packed path.
    pub(crate) threads: usize,
    pub(crate) precision: Precision,
    /// Use the generic path even where there is a faster one.
    pub(crate) generic: bool,
    pub(crate) kernels: &'static Kernels,
}

/// Opens a family's backbone; `folder` holds `config.json` and the weights.
///
/// # Errors
/// A configuration that asks for what the family lacks, or files that are missing or damaged.
pub(crate) fn open(
    folder: &Path,
    family: &Family,
    options: &BackboneOptions,
) -> Result<Box<dyn Backbone>, Error> {
    let (architecture, file) = family.open(folder)?;
    if matches!(options.device, Device::Cpu) && !options.generic {
        return Ok(Box::new(PackedBackbone::open(architecture, file, options)?));
    }
    let backbone = CandleBackbone::open(architecture, file, &options.device)?;
    Ok(Box::new(backbone))
}
