//! What an encoder says of itself.

use std::collections::BTreeMap;
use std::fmt;

use crate::PoolingMode;
use crate::encoder_id::EncoderId;

/// What an encoder is.
#[derive(Debug, Clone)]
pub struct EncoderInfo {
    /// The model's name: that of its folder.
    pub model: String,
    /// Who makes the vectors.
    pub id: EncoderId,
    /// Architecture of the backbone.
    pub model_type: String,
    /// Length of every vector.
    pub dimensions: usize,
    /// The window: tokens of a text that are read, special tokens included.
    pub max_tokens: usize,
    /// How token states become a vector; several are concatenated.
    pub pooling: Vec<PoolingMode>,
    /// Prompts by name.
    pub prompts: BTreeMap<String, String>,
    /// The prompt for kinds without one of their own.
    pub default_prompt_name: Option<String>,
    /// The similarity the model was trained for.
    pub similarity: SimilarityFunction,
    /// `cpu`, `cuda` or `metal`.
    pub device: String,
    /// Which implementation of the forward pass runs, and with which instructions.
    pub path: String,
}

/// The similarity a model was trained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimilarityFunction {
    /// Cosine of the angle.
    Cosine,
    /// Dot product.
    Dot,
    /// Negative Euclidean distance.
    Euclidean,
    /// Negative Manhattan distance.
    Manhattan,
}

impl fmt::Display for SimilarityFunction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::Euclidean => "euclidean",
            Self::Manhattan => "manhattan",
        })
    }
}
