//! A transformer as data: its sizes, what its tensors are called, and the order of its layers.
//!
//! A family makes one from its configuration. Whoever runs it reads nothing else, so a family is
//! run on every device or on none.

use super::PackedBatch;
use crate::Error;
use siamese_kernels::Activation;

/// A transformer that normalises after each block, as BERT does.
#[derive(Debug)]
pub(crate) struct Architecture {
    /// Length of a token's state.
    pub(crate) hidden: usize,
    pub(crate) heads: usize,
    /// Length of a token's state between the two linear layers of a feed-forward block.
    pub(crate) intermediate: usize,
    pub(crate) activation: Activation,
    /// What layer norms add to the variance.
    pub(crate) epsilon: f32,
    pub(crate) embeddings: Embeddings,
    pub(crate) layers: Vec<Layer>,
    /// Which of the layers a state goes through, from first to last; one may come several times.
    pub(crate) order: Vec<usize>,
    /// The table of biases by distance, where there is one: a row for each bucket of distances, a
    /// column for each head.
    pub(crate) relative_bias: Option<String>,
}

/// The tables that a token's first state is the sum of.
#[derive(Debug)]
pub(crate) struct Embeddings {
    pub(crate) words: Table,
    pub(crate) positions: Table,
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

/// What the parts of a layer are called: linear layers and layer norms.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) query: String,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) attention_output: String,
    pub(crate) attention_norm: String,
    pub(crate) up: String,
    pub(crate) down: String,
    pub(crate) output_norm: String,
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
}

impl Embeddings {
    /// Numbers the tokens of a batch.
    ///
    /// # Errors
    /// When a token, its position or its segment has no row. Whoever made them, they index tables.
    pub(crate) fn number(&self, batch: &mut PackedBatch) -> Result<(), Error> {
        batch.set_positions(self.padding_id);
        self.words.check(batch.ids(), "word_embeddings")?;
        let positions = batch.positions();
        self.positions.check(positions, "position_embeddings")?;
        match &self.segments {
            Some(segments) => segments.check(batch.type_ids(), "token_type_embeddings"),
            None => Ok(()),
        }
    }
}

impl Table {
    fn check(&self, indices: &[u32], table: &'static str) -> Result<(), Error> {
        match indices.iter().any(|index| *index as usize >= self.rows) {
            true => Err(Error::TokenOutOfRange { table }),
            false => Ok(()),
        }
    }
}
