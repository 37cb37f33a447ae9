//! Thin matrices that are learned instead of whole ones.

use candle_core::{Device, Tensor, Var};
use rand::Rng;
use rand::rngs::SmallRng;

/// How linear layers are adapted (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adapters {
    /// Rows of the first matrix and columns of the second one, 1 or more.
    pub rank: usize,
    /// Their product is multiplied by this, divided by the rank.
    pub alpha: f64,
    /// The same seed makes the same values to begin with.
    pub seed: u64,
}

/// What is added to a linear layer's matrix: a product of two thin ones.
#[derive(Debug, Clone)]
pub(crate) struct Adapter {
    /// `[rank, inputs]`
    pub(crate) down: Tensor,
    /// `[outputs, rank]`
    pub(crate) up: Tensor,
    pub(crate) scale: f64,
}

impl Adapter {
    /// One whose product is 0 to begin with, and its matrices as variables.
    pub(super) fn new(
        [outputs, inputs]: [usize; 2],
        adapters: Adapters,
        chance: &mut SmallRng,
        device: &Device,
    ) -> candle_core::Result<(Self, [Var; 2])> {
        let Adapters { rank, alpha, .. } = adapters;
        // As torch begins a linear layer, which is what the paper's code does.
        let bound = 1.0 / (inputs as f32).sqrt();
        let down = (0..rank * inputs).map(|_| chance.random_range(-bound..bound));
        let down = Tensor::from_vec(down.collect::<Vec<f32>>(), (rank, inputs), device)?;
        let up = Tensor::zeros((outputs, rank), down.dtype(), device)?;
        let (down, up) = (Var::from_tensor(&down)?, Var::from_tensor(&up)?);
        let adapter = Self {
            down: down.as_tensor().clone(),
            up: up.as_tensor().clone(),
            scale: alpha / rank as f64,
        };
        Ok((adapter, [down, up]))
    }

    /// That of some of the outputs.
    pub(crate) fn outputs(&self, start: usize, count: usize) -> candle_core::Result<Self> {
        Ok(Self {
            down: self.down.clone(),
            up: self.up.narrow(0, start, count)?.contiguous()?,
            scale: self.scale,
        })
    }

    /// What is added to the layer's matrix, `[outputs, inputs]`.
    pub(super) fn product(&self) -> candle_core::Result<Tensor> {
        self.up.matmul(&self.down)? * self.scale
    }
}
