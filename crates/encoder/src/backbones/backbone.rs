//! What a transformer does, whoever runs it.

use candle_core::Device;

use super::packed_batch::{PackedBatch, TokenStates};
use crate::Error;
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

    /// Returns whether its threads are its own; otherwise it runs on those of the caller's pool.
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
