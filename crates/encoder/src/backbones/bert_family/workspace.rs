//! The buffers of a forward pass, kept from one to the next.

use super::weights::Shape;
use siamese_kernels::{AlignedVec, CodedRows, Kernels};

/// Bytes; rows a multiple of this apart share few places of the first-level cache.
const ALIAS_BYTES: usize = 1024;
/// Values added to a stride to avoid that: a cache line.
const DETOUR: usize = 16;

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

/// Values from one row to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strides {
    pub(super) states: usize,
    pub(super) qkv: usize,
    pub(super) context: usize,
    pub(super) intermediate: usize,
    /// The widest row without a detour.
    pub(super) widest: usize,
}

impl Strides {
    pub(super) fn new(shape: &Shape) -> Self {
        Self {
            widest: shape.state.max(shape.context).max(shape.intermediate),
            states: stride(shape.state),
            qkv: stride(shape.qkv),
            context: stride(shape.context),
            intermediate: stride(shape.intermediate),
        }
    }
}

/// A distance between rows of `width` values that spreads them over the cache.
pub(super) fn stride(width: usize) -> usize {
    if (width * size_of::<f32>()).is_multiple_of(ALIAS_BYTES) {
        width + DETOUR
    } else {
        width
    }
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
