//! How wide the rows of weights and buffers are.
//!
//! Widths are filled up with zeros to whole registers or panels, each head's part of Q, K and V by
//! itself. The zeros stay zeros through every step, so nothing later has to know them.

use crate::backbones::architecture::Architecture;
use siamese_kernels::Kernels;

/// Bytes; rows a multiple of this apart share few places of the first-level cache.
const ALIAS_BYTES: usize = 1024;
/// Values added to a stride to avoid that: a cache line.
const DETOUR: usize = 16;

/// Widths of rows, filled up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// A row of the tables, without zeros.
    pub(super) embedding: usize,
    /// A token's state, without zeros.
    pub(super) hidden: usize,
    /// A token's state.
    pub(super) state: usize,
    pub(super) heads: usize,
    /// Without zeros.
    pub(super) head_features: usize,
    /// One head's part of Q, K or V.
    pub(super) head: usize,
    pub(super) qkv: usize,
    /// All heads' results, one after the other.
    pub(super) context: usize,
    /// What stands between two linear layers: of a feed-forward block, or tables and projection.
    pub(super) intermediate: usize,
}

impl Shape {
    pub(super) fn new(architecture: &Architecture, kernels: &Kernels) -> Self {
        let head = kernels.fill_up(architecture.head());
        let panels = |width: usize| width.next_multiple_of(kernels.panel);
        let embedding = architecture.embedding();
        Self {
            embedding,
            hidden: architecture.hidden,
            state: panels(architecture.hidden),
            heads: architecture.heads,
            head_features: architecture.head(),
            head,
            qkv: panels(3 * architecture.heads * head),
            context: architecture.heads * head,
            intermediate: panels(match architecture.embeddings.projection {
                Some(_) => architecture.intermediate.max(embedding),
                None => architecture.intermediate,
            }),
        }
    }
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
