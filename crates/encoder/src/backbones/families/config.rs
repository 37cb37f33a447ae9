//! `config.json`, checked: the keys that families have in common.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Error;
use crate::backbones::architecture::{
    Architecture, Embeddings, HasBias, Layer, Norm, Norms, Table,
};
use crate::files::read_json;
use siamese_kernels::Activation;

/// What the table of words is called, after a prefix.
pub(super) const WORDS: &str = "embeddings.word_embeddings.weight";
/// DistilBERT's layer norms have it fixed in code.
const DEFAULT_EPSILON: f64 = 1e-12;
/// More than any model has. Sizes decide what is reserved before weights are read.
pub(super) const MAX_SIZE: usize = 1 << 24;
/// As [`MAX_SIZE`], for layers, whose names are made before weights are read.
pub(super) const MAX_LAYERS: usize = 1 << 10;

/// The longest text for which rotations are made once.
const MAX_ROTATED: usize = 1 << 16;

/// The configuration of a transformer. Aliases are DistilBERT's, ModernBERT's and NomicBERT's.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    pub(super) vocab_size: usize,
    #[serde(alias = "dim", alias = "n_embd")]
    pub(super) hidden_size: usize,
    #[serde(alias = "n_layers", alias = "n_layer")]
    pub(super) num_hidden_layers: usize,
    #[serde(alias = "n_heads", alias = "n_head")]
    pub(super) num_attention_heads: usize,
    #[serde(alias = "hidden_dim", alias = "n_inner")]
    pub(super) intermediate_size: usize,
    #[serde(alias = "n_positions")]
    pub(super) max_position_embeddings: usize,
    /// Of attention whose heads share keys and values.
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    pub(super) type_vocab_size: Option<usize>,
    #[serde(
        alias = "activation",
        alias = "hidden_activation",
        alias = "activation_function"
    )]
    pub(super) hidden_act: String,
    #[serde(alias = "layer_norm_epsilon", alias = "rms_norm_eps")]
    pub(super) layer_norm_eps: Option<f64>,
    pub(super) pad_token_id: Option<u32>,
    pub(super) position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
    #[serde(flatten)]
    others: Map<String, Value>,
    #[serde(skip)]
    path: PathBuf,
}

impl Config {
    /// Reads `config.json` of a folder.
    ///
    /// # Errors
    /// When it is missing or damaged, or asks for something that no family has.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("config.json");
        let mut config: Self = read_json(&path)?;
        config.path = path;
        config.check()?;
        Ok(config)
    }

    /// The keys that a family has for itself.
    ///
    /// # Errors
    /// When one is missing or of another type.
    pub(super) fn own<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let others = Value::Object(self.others.clone());
        serde_json::from_value(others).map_err(|error| Error::damaged(&self.path, error))
    }

    /// What is wrong with the configuration.
    pub(super) fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::damaged(&self.path, reason.into())
    }

    /// # Errors
    /// When one of these sizes is zero or more than there may be.
    pub(super) fn check_sizes(&self, sizes: &[(&str, usize, usize)]) -> Result<(), Error> {
        for (key, size, most) in sizes {
            if !(1..=*most).contains(size) {
                return Err(self.damaged(format!("{key} is {size}, which no model has")));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        self.check_sizes(&[
            ("vocab_size", self.vocab_size, MAX_SIZE),
            ("hidden_size", self.hidden_size, MAX_SIZE),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", self.num_attention_heads, MAX_SIZE),
            ("intermediate_size", self.intermediate_size, MAX_SIZE),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                MAX_SIZE,
            ),
        ])?;
        let is_divided = self.hidden_size.is_multiple_of(self.num_attention_heads);
        if self.head_dim.is_none() && !is_divided {
            return Err(self.damaged("hidden_size is not a multiple of num_attention_heads"));
        }
        self.check_sizes(&[
            ("head_dim", self.head(), MAX_SIZE),
            ("num_key_value_heads", self.key_heads(), MAX_SIZE),
        ])?;
        if !self.num_attention_heads.is_multiple_of(self.key_heads()) {
            let reason = "num_attention_heads is not a multiple of num_key_value_heads";
            return Err(self.damaged(reason));
        }
        if self.is_decoder {
            return Err(unsupported("is_decoder", "true"));
        }
        Ok(())
    }

    /// Length of a query.
    pub(super) fn head(&self) -> usize {
        self.head_dim
            .unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    fn key_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// # Errors
    /// When queries cannot be turned, or there are more positions than are turned to.
    pub(super) fn check_rotated(&self) -> Result<(), Error> {
        let positions = self.max_position_embeddings;
        self.check_sizes(&[("max_position_embeddings", positions, MAX_ROTATED)])?;
        match self.head().is_multiple_of(2) {
            true => Ok(()),
            false => Err(self.damaged("heads of an odd length cannot be rotated")),
        }
    }

    /// # Errors
    /// When positions are not of the type that the family has.
    pub(super) fn check_positions(&self, known: &str) -> Result<(), Error> {
        match self.position_embedding_type.as_deref() {
            Some(kind) if kind != known => Err(unsupported("position_embedding_type", kind)),
            _ => Ok(()),
        }
    }

    /// A transformer of these sizes, without layers.
    ///
    /// # Errors
    /// When the activation is not known.
    pub(super) fn architecture(&self, embeddings: Embeddings) -> Result<Architecture, Error> {
        Ok(Architecture {
            hidden: self.hidden_size,
            heads: self.num_attention_heads,
            key_heads: self.key_heads(),
            head: self.head(),
            score_scale: (self.head() as f32).sqrt().recip(),
            causal: false,
            intermediate: self.intermediate_size,
            gated: false,
            activation: activation(&self.hidden_act)?,
            epsilon: self.layer_norm_eps.unwrap_or(DEFAULT_EPSILON) as f32,
            norm: Norm::Layer,
            norms: Norms::After,
            has_bias: HasBias::ALL,
            positions: self.max_position_embeddings,
            embeddings,
            layers: Vec::new(),
            order: Vec::new(),
            distance_bias: None,
        })
    }

    /// A transformer of these sizes, each layer with weights of its own.
    ///
    /// # Errors
    /// When the activation is not known.
    pub(super) fn stack(
        &self,
        embeddings: Embeddings,
        layer: impl Fn(usize) -> Layer,
    ) -> Result<Architecture, Error> {
        let layers = 0..self.num_hidden_layers;
        Ok(Architecture {
            order: layers.clone().collect(),
            layers: layers.map(layer).collect(),
            ..self.architecture(embeddings)?
        })
    }

    /// The tables of words and positions, under the names that most families give them.
    pub(super) fn embeddings(&self, prefix: &str) -> Embeddings {
        let positions = Table {
            name: format!("{prefix}embeddings.position_embeddings.weight"),
            rows: self.max_position_embeddings,
        };
        Embeddings {
            words: self.words(format!("{prefix}{WORDS}")),
            positions: Some(positions),
            segments: None,
            norm: Some(format!("{prefix}embeddings.LayerNorm")),
            scale: 1.0,
            projection: None,
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

    /// A table of words alone, without a norm.
    pub(super) fn bare_embeddings(&self, name: String) -> Embeddings {
        Embeddings {
            words: self.words(name),
            positions: None,
            segments: None,
            norm: None,
            scale: 1.0,
            projection: None,
            padding_id: None,
        }
    }

    /// The table of words under a name.
    pub(super) fn words(&self, name: String) -> Table {
        Table {
            name,
            rows: self.vocab_size,
        }
    }
}

/// # Errors
/// When the activation is not known.
pub(super) fn activation(name: &str) -> Result<Activation, Error> {
    match name {
        "gelu" | "gelu_python" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        // NomicBERT names its gated block, whose activation it is.
        "silu" | "swish" | "swiglu" => Ok(Activation::Silu),
        other => Err(unsupported("hidden_act", other)),
    }
}

/// # Errors
/// When one of these keys has another value than the one that is known.
pub(super) fn check_known<T: PartialEq + Display>(
    keys: &[(&'static str, &Option<T>, T)],
) -> Result<(), Error> {
    for (key, value, known) in keys {
        if let Some(value) = value
            && value != known
        {
            return Err(unsupported(key, &value.to_string()));
        }
    }
    Ok(())
}

pub(super) fn unsupported(key: &'static str, value: &str) -> Error {
    Error::UnsupportedSetting {
        key,
        value: value.to_owned(),
    }
}
