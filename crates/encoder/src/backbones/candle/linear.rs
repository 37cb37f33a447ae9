//! A linear layer.

use candle_core::Tensor;
use candle_nn::Linear;

use crate::training::Adapter;

/// A linear layer, and what is learned to be added to it, where it is not learned itself.
#[derive(Debug)]
pub(super) struct LinearLayer {
    pub(super) linear: Linear,
    pub(super) adapter: Option<Adapter>,
}

impl LinearLayer {
    pub(super) fn new(weights: Tensor, biases: Option<Tensor>, adapter: Option<Adapter>) -> Self {
        Self {
            linear: Linear::new(weights, biases),
            adapter,
        }
    }

    /// Some of its outputs.
    pub(super) fn rows(&self, start: usize, count: usize) -> candle_core::Result<Self> {
        let rows = |tensor: &Tensor| tensor.narrow(0, start, count)?.contiguous();
        let biases = self.linear.bias().map(rows).transpose()?;
        let adapter = self.adapter.as_ref();
        let adapter = adapter.map(|adapter| adapter.outputs(start, count));
        Ok(Self::new(
            rows(self.linear.weight())?,
            biases,
            adapter.transpose()?,
        ))
    }
}
