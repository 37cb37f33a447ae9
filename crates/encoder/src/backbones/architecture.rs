//! A transformer as data: its sizes, what its tensors are called, and the order of its layers.
//!
//! A family makes one from its configuration. Whoever runs it reads nothing else, so a family is
//! run on every device or on none.

use super::packed_batch::PackedBatch;
use crate::Error;
use crate::checkpoint::Checkpoint;
use siamese_kernels::Activation;

/// A transformer: layers of an attention and a feed-forward block, each added to what it got.
#[derive(Debug)]
pub(crate) struct Architecture {
    /// Length of a token's state.
    pub(crate) hidden: usize,
    /// Heads of queries.
    pub(crate) heads: usize,
    /// Heads of keys and values: each is that of as many heads of queries, one after the other.
    pub(crate) key_heads: usize,
    /// Length of a query, of a key and of a value.
    pub(crate) head: usize,
    /// What products of queries and keys are multiplied by.
    pub(crate) score_scale: f32,
    /// Whether a token sees those before it only.
    pub(crate) causal: bool,
    /// Length of a token's state between the two linear layers of a feed-forward block.
    pub(crate) intermediate: usize,
    /// Whether the first of the two has as many outputs again, by which those that went through the
    /// activation are multiplied.
    pub(crate) gated: bool,
    pub(crate) activation: Activation,
    /// What norms add to the variance.
    pub(crate) epsilon: f32,
    pub(crate) norm: Norm,
    pub(crate) norms: Norms,
    pub(crate) has_bias: HasBias,
    /// Positions that there are, whether they have a table or not.
    pub(crate) positions: usize,
    pub(crate) embeddings: Embeddings,
    pub(crate) layers: Vec<Layer>,
    /// Which of the layers a state goes through, from first to last; one may come several times.
    pub(crate) order: Vec<usize>,
    /// What is added to scores by the distance of query and key.
    pub(crate) distance_bias: Option<DistanceBias>,
}

/// What a norm does to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Norm {
    /// It makes the mean 0 and the variance 1. Ba et al., "Layer Normalization", 2016.
    Layer,
    /// It makes the mean square 1. Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.
    Rms,
    /// The same, and weights are how much more than once a value is taken.
    RmsMoreThanOnce,
}

/// Where norms are.
#[derive(Debug)]
pub(crate) enum Norms {
    /// Over what a block and its input add up to.
    After,
    /// Over the input of a block, and over the last states.
    Before { last: String },
    /// As before, and over what a block makes.
    Around { last: String },
}

impl Norms {
    /// What the norm over the last states is called, where there is one.
    pub(crate) fn last(&self) -> Option<&str> {
        match self {
            Self::After => None,
            Self::Before { last } | Self::Around { last } => Some(last),
        }
    }
}

/// Which linear layers and norms add a bias.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HasBias {
    pub(crate) attention: bool,
    pub(crate) up: bool,
    pub(crate) down: bool,
    pub(crate) norms: bool,
}

impl HasBias {
    /// All of them.
    pub(crate) const ALL: Self = Self {
        attention: true,
        up: true,
        down: true,
        norms: true,
    };
    /// None.
    pub(crate) const NONE: Self = Self {
        attention: false,
        up: false,
        down: false,
        norms: false,
    };
}

/// What a head adds to scores by the distance of query and key.
#[derive(Debug)]
pub(crate) enum DistanceBias {
    /// A table with this name: a row for each bucket of distances, a column for each head.
    Buckets(String),
    /// Less the farther they are apart, by a slope of its own.
    Slopes,
}

/// The tables that a token's first state is the sum of.
#[derive(Debug)]
pub(crate) struct Embeddings {
    pub(crate) words: Table,
    pub(crate) positions: Option<Table>,
    pub(crate) segments: Option<Table>,
    pub(crate) norm: Option<String>,
    /// What words are multiplied by.
    pub(crate) scale: f32,
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

/// A layer: what its linear layers and norms are called, and how it attends.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) qkv: Qkv,
    /// Norms over each query and each key.
    pub(crate) query_key_norms: Option<[String; 2]>,
    pub(crate) attention_output: String,
    /// The first layer may have none before its attention.
    pub(crate) attention_norm: Option<String>,
    /// Over what attention makes, where norms are around blocks; as in the feed-forward block.
    pub(crate) attention_output_norm: Option<String>,
    pub(crate) up: Up,
    pub(crate) down: String,
    pub(crate) feed_forward_norm: String,
    pub(crate) feed_forward_output_norm: Option<String>,
    /// How many tokens before and after a query its keys may be; all are keys without it.
    pub(crate) window: Option<usize>,
    /// What queries and keys are turned with, where they are.
    pub(crate) rotation: Option<Rotation>,
}

/// How fast queries and keys turn from one position to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rotation {
    pub(crate) base: f32,
    /// What all speeds are divided by.
    pub(crate) slowdown: f32,
}

impl Rotation {
    /// Rotations as they were first described.
    pub(crate) fn of_base(base: f32) -> Self {
        Self {
            base,
            slowdown: 1.0,
        }
    }
}

/// The linear layers that make queries, keys and values.
#[derive(Debug)]
pub(crate) enum Qkv {
    Apart([String; 3]),
    /// One layer with the outputs of all three, in this order.
    Joined(String),
}

impl Default for Qkv {
    fn default() -> Self {
        Self::Joined(String::new())
    }
}

/// The first linear layer of a feed-forward block, or both where there are gates.
#[derive(Debug)]
pub(crate) enum Up {
    /// One layer, with gates behind what goes through the activation, if there are gates.
    Whole(String),
    /// One layer with gates first.
    GatesFirst(String),
    Apart {
        /// Its outputs go through the activation.
        activated: String,
        gates: String,
    },
}

impl Default for Up {
    fn default() -> Self {
        Self::Whole(String::new())
    }
}

impl Architecture {
    /// Length of all queries of a token.
    pub(crate) fn queries(&self) -> usize {
        self.heads * self.head
    }

    /// Length of all keys of a token.
    pub(crate) fn keys(&self) -> usize {
        self.key_heads * self.head
    }

    /// What a norm multiplies by and what it adds.
    ///
    /// # Errors
    /// When they are missing or of another shape.
    pub(crate) fn read_norm(
        &self,
        file: &mut Checkpoint,
        name: &str,
        width: usize,
    ) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let (mut gain, shift) = file.read_norm(name, width, self.has_bias.norms)?;
        if self.norm == Norm::RmsMoreThanOnce {
            gain.iter_mut().for_each(|gain| *gain += 1.0);
        }
        Ok((gain, shift))
    }

    /// The table of words, multiplied by what words are multiplied by.
    ///
    /// # Errors
    /// When it is missing or of another shape.
    pub(crate) fn read_words(&self, file: &mut Checkpoint) -> Result<Vec<f32>, Error> {
        let Embeddings { words, scale, .. } = &self.embeddings;
        let mut values = file.read(&words.name, &[words.rows, self.embedding()])?;
        if *scale != 1.0 {
            values.iter_mut().for_each(|value| *value *= scale);
        }
        Ok(values)
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
