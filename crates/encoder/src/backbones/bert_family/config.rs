//! `config.json` of the family, checked.

use std::path::Path;

use serde::Deserialize;

use crate::Error;
use crate::model_folder::read_json;
use siamese_kernels::Activation;

/// What the members of the family have in common.
#[derive(Debug, Clone)]
pub(crate) struct FamilyConfig {
    pub(crate) model_type: String,
    pub(crate) vocabulary: usize,
    /// Length of a token's state.
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    /// Length of a token's state between the two layers of a feed-forward block.
    pub(crate) intermediate: usize,
    /// Rows of the position table.
    pub(crate) positions: usize,
    /// Rows of the table of segments; 0 without one.
    pub(crate) segments: usize,
    pub(crate) activation: Activation,
    pub(crate) epsilon: f32,
    /// Where the position table counts real tokens from the one after this id, and gives tokens
    /// with this id its own row.
    pub(crate) padding_id: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct RawConfig {
    model_type: String,
    vocab_size: usize,
    #[serde(alias = "dim")]
    hidden_size: usize,
    #[serde(alias = "n_layers")]
    num_hidden_layers: usize,
    #[serde(alias = "n_heads")]
    num_attention_heads: usize,
    #[serde(alias = "hidden_dim")]
    intermediate_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: Option<usize>,
    #[serde(alias = "activation")]
    hidden_act: String,
    layer_norm_eps: Option<f64>,
    pad_token_id: Option<u32>,
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
}

/// DistilBERT's layer norms have it fixed in code.
const DEFAULT_EPSILON: f64 = 1e-12;

impl FamilyConfig {
    /// Reads `config.json` of a folder.
    ///
    /// # Errors
    /// When it is missing or damaged, or asks for something the family's forward pass lacks.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("config.json");
        let raw: RawConfig = read_json(&path)?;
        raw.check(&path)?;
        let offset_positions = matches!(
            raw.model_type.as_str(),
            "roberta" | "xlm-roberta" | "camembert"
        );
        let distilled = raw.model_type == "distilbert";
        Ok(Self {
            vocabulary: raw.vocab_size,
            hidden: raw.hidden_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            intermediate: raw.intermediate_size,
            positions: raw.max_position_embeddings,
            segments: if distilled {
                0
            } else {
                raw.type_vocab_size.unwrap_or(2)
            },
            activation: activation(&raw.hidden_act)?,
            epsilon: raw.layer_norm_eps.unwrap_or(DEFAULT_EPSILON) as f32,
            padding_id: offset_positions.then(|| raw.pad_token_id.unwrap_or(1)),
            model_type: raw.model_type,
        })
    }

    /// Length of a head's part of a token's state.
    pub(crate) fn head(&self) -> usize {
        self.hidden / self.heads
    }
}

impl RawConfig {
    fn check(&self, path: &Path) -> Result<(), Error> {
        let sizes = [
            self.vocab_size,
            self.hidden_size,
            self.num_hidden_layers,
            self.num_attention_heads,
            self.intermediate_size,
            self.max_position_embeddings,
        ];
        if sizes.contains(&0) {
            return Err(Error::damaged(path, "one of its sizes is 0"));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(Error::damaged(
                path,
                "hidden_size is not a multiple of num_attention_heads",
            ));
        }
        if let Some(kind) = self.position_embedding_type.as_deref()
            && kind != "absolute"
        {
            return Err(unsupported("position_embedding_type", kind));
        }
        if self.is_decoder {
            return Err(unsupported("is_decoder", "true"));
        }
        Ok(())
    }
}

fn activation(name: &str) -> Result<Activation, Error> {
    match name {
        "gelu" | "gelu_python" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => Err(unsupported("hidden_act", other)),
    }
}

fn unsupported(key: &'static str, value: &str) -> Error {
    Error::UnsupportedSetting {
        key,
        value: value.to_owned(),
    }
}
