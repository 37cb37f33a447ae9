//! A transformer as data: its sizes, what its tensors are called, and the order of its layers.
//!
//! A family makes one from its configuration. Whoever runs it reads nothing else, so a family is
//! run on every device or on none.

use super::packed_batch::PackedBatch;
use crate::Error;
use siamese_kernels::Activation;

/// A transformer: layers of an attention and a feed-forward block, each added to what it got.
#[derive(Debug)]
pub(crate) struct Architecture {
    /// Length of a token's state.
    pub(crate) hidden: usize,
    pub(crate) heads: usize,
    /// Length of a token's state between the two linear layers of a feed-forward block.
    pub(crate) intermediate: usize,
    /// Whether the first of the two has as many outputs again, by which those that went through the
    /// activation are multiplied.
    pub(crate) gated: bool,
    pub(crate) activation: Activation,
    /// What layer norms add to the variance.
    pub(crate) epsilon: f32,
    pub(crate) norms: Norms,
    pub(crate) has_bias: HasBias,
    /// Positions that there are, whether they have a table or not.
    pub(crate) positions: usize,
    pub(crate) embeddings: Embeddings,
    pub(crate) layers: Vec<Layer>,
    /// Which of the layers a state goes through, from first to last; one may come several times.
    pub(crate) order: Vec<usize>,
    /// The table of biases by distance, where there is one: a row for each bucket of distances, a
    /// column for each head.
    pub(crate) relative_bias: Option<String>,
}

/// Where layer norms are.
#[derive(Debug)]
pub(crate) enum Norms {
    /// Over what a block and its input add up to.
    After,
    /// Over the input of a block, and over the last states.
    Before { last: String },
}

/// Which linear layers and layer norms add a bias.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HasBias {
    pub(crate) attention: bool,
    pub(crate) feed_forward: bool,
    pub(crate) norms: bool,
}

/// The tables that a token's first state is the sum of.
#[derive(Debug)]
pub(crate) struct Embeddings {
    pub(crate) words: Table,
    pub(crate) positions: Option<Table>,
    pub(crate) segments: Option<Table>,
    pub(crate) norm: String,
    /// What makes a state of the sum, where tables are not as wide as states.
    pub(crate) projection: Option<Projection>,
    /// Where positions count real tokens from the one after this id, and tokens with this id have
    /// its own row.
    pub(crate) padding_id: Option<u32>,
}

/// A table of embeddings.
#[derive(Debug)]
pub(crate) struct Table {
    /// What its tensor is called.
    pub(crate) name: String,
    pub(crate) rows: usize,
}

/// A linear layer after the tables.
#[derive(Debug)]
pub(crate) struct Projection {
    pub(crate) name: String,
    /// Length of a row of the tables.
    pub(crate) width: usize,
}

/// A layer: what its linear layers and layer norms are called, and how it attends.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) qkv: Qkv,
    pub(crate) attention_output: String,
    /// The first layer may have none before its attention.
    pub(crate) attention_norm: Option<String>,
    pub(crate) up: String,
    pub(crate) down: String,
    pub(crate) feed_forward_norm: String,
    /// How many tokens before and after a query its keys may be; all are keys without it.
    pub(crate) window: Option<usize>,
    /// What queries and keys are turned with, where they are.
    pub(crate) rotary_base: Option<f32>,
}

/// The linear layers that make queries, keys and values.
#[derive(Debug)]
pub(crate) enum Qkv {
    Apart([String; 3]),
    /// One layer with the outputs of all three, in this order.
    Joined(String),
}

impl Architecture {
    /// Length of a head's part of a token's state.
    pub(crate) fn head(&self) -> usize {
        self.hidden / self.heads
    }

    /// Length of a row of the tables.
    pub(crate) fn embedding(&self) -> usize {
        let projection = self.embeddings.projection.as_ref();
        projection.map_or(self.hidden, |projection| projection.width)
    }

    /// Numbers the tokens of a batch.
    ///
    /// # Errors
    /// When a token, its position or its segment has no row. Whoever made them, they index tables.
    pub(crate) fn number(&self, batch: &mut PackedBatch) -> Result<(), Error> {
        let embeddings = &self.embeddings;
        batch.set_positions(embeddings.padding_id);
        check(batch.ids(), embeddings.words.rows, "word_embeddings")?;
        check(batch.positions(), self.positions, "position_embeddings")?;
        match &embeddings.segments {
            Some(table) => check(batch.type_ids(), table.rows, "token_type_embeddings"),
            None => Ok(()),
        }
    }
}

/// # Errors
/// When an index has no row.
pub(super) fn check(indices: &[u32], rows: usize, table: &'static str) -> Result<(), Error> {
    match indices.iter().any(|index| *index as usize >= rows) {
        true => Err(Error::TokenOutOfRange { table }),
        false => Ok(()),
    }
}
