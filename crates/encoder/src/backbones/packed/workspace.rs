//! The buffers of a forward pass, kept from one to the next.

use super::shape::{Shape, Strides, stride};
use siamese_kernels::{AlignedVec, CodedRows, Kernels};

/// Activations of the tokens in work.
#[derive(Debug)]
pub(super) struct Workspace {
    /// Each token's state.
    pub(super) states: AlignedVec<f32>,
    pub(super) qkv: AlignedVec<f32>,
    pub(super) context: AlignedVec<f32>,
    pub(super) intermediate: AlignedVec<f32>,
    /// The left matrix of the next product, where products are of codes.
    pub(super) coded: CodedRows,
}

/// What one thread needs for attention.
#[derive(Debug)]
pub(super) struct Scratch {
    /// K of one head, transposed.
    pub(super) keys: AlignedVec<f32>,
    pub(super) scores: AlignedVec<f32>,
}

impl Workspace {
    pub(super) fn new() -> Self {
        Self {
            states: AlignedVec::zeros(0),
            qkv: AlignedVec::zeros(0),
            context: AlignedVec::zeros(0),
            intermediate: AlignedVec::zeros(0),
            coded: CodedRows::default(),
        }
    }

    /// Makes room for `tokens`.
    pub(super) fn reserve(&mut self, tokens: usize, strides: &Strides) {
        self.states.reserve(tokens * strides.states);
        self.qkv.reserve(tokens * strides.qkv);
        self.context.reserve(tokens * strides.context);
        self.intermediate.reserve(tokens * strides.intermediate);
    }

    /// Makes room for the codes of `tokens`.
    pub(super) fn reserve_codes(&mut self, tokens: usize, strides: &Strides) {
        self.coded.reserve(tokens, strides.widest);
    }
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self {
            keys: AlignedVec::zeros(0),
            scores: AlignedVec::zeros(0),
        }
    }

    /// Makes room for texts of up to `tokens`.
    pub(super) fn reserve(&mut self, tokens: usize, shape: &Shape, kernels: &Kernels) {
        let row = stride(kernels.fill_up(tokens));
        self.keys.reserve(shape.head * row);
        self.scores.reserve(kernels.tile_rows() * row);
    }
}
