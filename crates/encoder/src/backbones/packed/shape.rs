//! How wide the rows of weights and buffers are.
//!
//! Widths are filled up with zeros to whole registers or panels, each head's part of Q, K and V by
//! itself. The zeros stay zeros through every step, so nothing later has to know them.

use crate::backbones::architecture::{Architecture, Norms};
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
    /// The sum of a token's rows of the tables.
    pub(super) embedded: usize,
    /// A token's state, without zeros.
    pub(super) hidden: usize,
    /// A token's state.
    pub(super) state: usize,
    /// Heads of queries.
    pub(super) heads: usize,
    /// Heads of queries that share one of keys and values.
    pub(super) group: usize,
    /// Without zeros.
    pub(super) head_features: usize,
    /// One head's part of Q, K or V.
    pub(super) head: usize,
    /// For each head of keys, the queries of its group, its keys and its values.
    pub(super) qkv: usize,
    /// All heads' results, one after the other.
    pub(super) context: usize,
    /// A token's state between the two linear layers of a feed-forward block.
    pub(super) intermediate: usize,
}

impl Shape {
    pub(super) fn new(architecture: &Architecture, kernels: &Kernels) -> Self {
        let head = kernels.fill_up(architecture.head);
        let heads = architecture.heads + 2 * architecture.key_heads;
        let panels = |width: usize| width.next_multiple_of(kernels.panel);
        Self {
            embedding: architecture.embedding(),
            embedded: panels(architecture.embedding()),
            hidden: architecture.hidden,
            state: panels(architecture.hidden),
            heads: architecture.heads,
            group: architecture.heads / architecture.key_heads,
            head_features: architecture.head,
            head,
            qkv: panels(heads * head),
            context: architecture.heads * head,
            intermediate: panels(architecture.intermediate),
        }
    }
}

/// Values from one row to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strides {
    pub(super) states: usize,
    /// Queries, keys and values; after them what a block makes, where that is normalised.
    pub(super) qkv: usize,
    /// What heads make; before, the states that they get, where these are normalised first.
    pub(super) context: usize,
    /// What is between two linear layers: those of a feed-forward block, with gates behind it where
    /// there are some, or tables and projection.
    pub(super) intermediate: usize,
    /// The widest row that is multiplied, without a detour.
    pub(super) widest: usize,
}

impl Strides {
    pub(super) fn new(shape: &Shape, architecture: &Architecture) -> Self {
        let context = match architecture.norms {
            Norms::After => shape.context,
            Norms::Before { .. } | Norms::Around { .. } => shape.context.max(shape.state),
        };
        let qkv = match architecture.norms {
            Norms::After | Norms::Before { .. } => shape.qkv,
            Norms::Around { .. } => shape.qkv.max(shape.state),
        };
        let intermediate = match architecture.gated {
            true => 2 * shape.intermediate,
            false => shape.intermediate,
        };
        let intermediate = match architecture.embeddings.projection {
            Some(_) => intermediate.max(shape.embedded),
            None => intermediate,
        };
        let widest = shape.embedded.max(shape.state).max(shape.context);
        Self {
            states: stride(shape.state),
            qkv: stride(qkv),
            context: stride(context),
            intermediate: stride(intermediate),
            widest: widest.max(shape.intermediate),
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
