//! `config.json`, checked: the keys that families have in common.

use std::path::Path;

use serde::Deserialize;

use crate::Error;
use crate::backbones::architecture::{Architecture, Embeddings, Layer, Table};
use crate::files::read_json;
use siamese_kernels::Activation;

/// What the table of words is called, after a prefix.
pub(super) const WORDS: &str = "embeddings.word_embeddings.weight";
/// DistilBERT's layer norms have it fixed in code.
const DEFAULT_EPSILON: f64 = 1e-12;

/// The configuration of a transformer. Aliases are DistilBERT's.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
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
    pub(super) pad_token_id: Option<u32>,
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
}

impl Config {
    /// Reads `config.json` of a folder.
    ///
    /// # Errors
    /// When it is missing or damaged, or asks for something that no family has.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("config.json");
        let config: Self = read_json(&path)?;
        config.check(&path)?;
        Ok(config)
    }

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

    /// A transformer of these sizes, made of as many layers as there are, by their place.
    ///
    /// # Errors
    /// When the activation is not known.
    pub(super) fn architecture(
        &self,
        embeddings: Embeddings,
        layer: impl Fn(usize) -> Layer,
    ) -> Result<Architecture, Error> {
        Ok(Architecture {
            hidden: self.hidden_size,
            heads: self.num_attention_heads,
            intermediate: self.intermediate_size,
            activation: activation(&self.hidden_act)?,
            epsilon: self.layer_norm_eps.unwrap_or(DEFAULT_EPSILON) as f32,
            embeddings,
            layers: (0..self.num_hidden_layers).map(layer).collect(),
        })
    }

    /// The tables of words and positions, under the names that all families give them.
    pub(super) fn embeddings(&self, prefix: &str) -> Embeddings {
        let table = |name: &str, rows| Table {
            name: format!("{prefix}{name}"),
            rows,
        };
        Embeddings {
            words: table(WORDS, self.vocab_size),
            positions: table(
                "embeddings.position_embeddings.weight",
                self.max_position_embeddings,
            ),
            segments: None,
            norm: format!("{prefix}embeddings.LayerNorm"),
            padding_id: None,
        }
    }

    /// The same with a table of segments, which most models have two of.
    pub(super) fn embeddings_with_segments(&self, prefix: &str) -> Embeddings {
        let rows = self.type_vocab_size.unwrap_or(2);
        let table = || Table {
            name: format!("{prefix}embeddings.token_type_embeddings.weight"),
            rows,
        };
        Embeddings {
            segments: (rows > 0).then(table),
            ..self.embeddings(prefix)
        }
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
