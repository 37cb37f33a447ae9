//! DeBERTa-v2 and v3: attention to what tokens say and to how far apart they are, each by weights of
//! its own. candle-transformers has it, and takes less than the family's configurations can say.

use candle_transformers::models::debertav2::{self, HiddenAct};
use serde::Deserialize;

use super::config::{Config, MAX_SIZE, activation, unsupported};
use crate::Error;
use siamese_kernels::Activation;

/// What layer norms add to the variance where a configuration does not say it.
const DEFAULT_EPSILON: f64 = 1e-7;
/// With fewer, the widths of buckets are quotients of nothing.
const MIN_BUCKETS: isize = 4;

/// Without a value, Hugging Face's.
#[derive(Debug, Deserialize)]
struct OwnKeys {
    #[serde(default)]
    relative_attention: bool,
    max_relative_positions: Option<isize>,
    position_buckets: Option<isize>,
    #[serde(default = "yes")]
    position_biased_input: bool,
    #[serde(default)]
    pos_att_type: AttentionTypes,
    share_att_key: Option<bool>,
    norm_rel_ebd: Option<String>,
    attention_head_size: Option<usize>,
    embedding_size: Option<usize>,
    conv_kernel_size: Option<usize>,
}

fn yes() -> bool {
    true
}

/// A list, or one string with bars between its parts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum AttentionTypes {
    Joined(String),
    List(Vec<String>),
    Null(()),
}

impl Default for AttentionTypes {
    fn default() -> Self {
        Self::Null(())
    }
}

impl AttentionTypes {
    fn names(self) -> Vec<String> {
        match self {
            Self::Joined(names) => {
                let names = names.to_lowercase();
                names.split('|').map(|name| name.trim().into()).collect()
            }
            Self::List(names) => names,
            Self::Null(()) => Vec::new(),
        }
    }
}

/// The configuration as candle-transformers takes it.
///
/// # Errors
/// When it asks for what candle-transformers lacks or computes otherwise.
pub(super) fn configuration(config: &Config) -> Result<debertav2::Config, Error> {
    let own: OwnKeys = config.own()?;
    own.check(config)?;
    Ok(debertav2::Config {
        vocab_size: config.vocab_size,
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_hidden_layers,
        num_attention_heads: config.num_attention_heads,
        intermediate_size: config.intermediate_size,
        hidden_act: match activation(&config.hidden_act)? {
            Activation::Gelu => HiddenAct::Gelu,
            Activation::GeluTanh => HiddenAct::GeluApproximate,
            Activation::Relu => HiddenAct::Relu,
            Activation::Silu => return Err(unsupported("hidden_act", &config.hidden_act)),
        },
        hidden_dropout_prob: 0.0,
        attention_probs_dropout_prob: 0.0,
        max_position_embeddings: config.max_position_embeddings,
        type_vocab_size: config.type_vocab_size.unwrap_or(0),
        initializer_range: 0.0,
        layer_norm_eps: config.layer_norm_eps.unwrap_or(DEFAULT_EPSILON),
        relative_attention: own.relative_attention,
        max_relative_positions: own.max_relative_positions.unwrap_or(-1),
        pad_token_id: None,
        position_biased_input: own.position_biased_input,
        pos_att_type: own.pos_att_type.names(),
        position_buckets: own.position_buckets,
        share_att_key: own.share_att_key,
        attention_head_size: None,
        embedding_size: own.embedding_size,
        norm_rel_ebd: own.norm_rel_ebd.map(|name| name.trim().to_lowercase()),
        conv_kernel_size: None,
        conv_groups: None,
        conv_act: None,
        id2label: None,
        label2id: None,
        pooler_dropout: None,
        pooler_hidden_act: None,
        pooler_hidden_size: None,
        cls_dropout: None,
    })
}

impl OwnKeys {
    fn check(&self, config: &Config) -> Result<(), Error> {
        self.check_distances(config)?;
        let width = self.embedding_size.unwrap_or(config.hidden_size);
        config.check_sizes(&[("embedding_size", width, MAX_SIZE)])?;
        // candle-transformers adds segments as wide as states to words before it widens them.
        if width != config.hidden_size && config.type_vocab_size.unwrap_or(0) > 0 {
            return Err(unsupported("embedding_size", &width.to_string()));
        }
        if let Some(size) = self.attention_head_size
            && size != config.head()
        {
            return Err(unsupported("attention_head_size", &size.to_string()));
        }
        // A convolution beside the first layer, for which candle-transformers has a panic.
        if let Some(size) = self.conv_kernel_size
            && size > 0
        {
            return Err(unsupported("conv_kernel_size", &size.to_string()));
        }
        let norm = self.norm_rel_ebd.as_deref().unwrap_or("none");
        match norm.trim().to_lowercase().as_str() {
            "none" | "layer_norm" => Ok(()),
            _ => Err(unsupported("norm_rel_ebd", norm)),
        }
    }

    /// # Errors
    /// When a table of distances is larger than any, or buckets have no widths.
    fn check_distances(&self, config: &Config) -> Result<(), Error> {
        let farthest = match self.max_relative_positions {
            Some(positions) if positions >= 1 => positions,
            _ => config.max_position_embeddings as isize,
        };
        if farthest > MAX_SIZE as isize {
            let farthest = farthest.to_string();
            return Err(unsupported("max_relative_positions", &farthest));
        }
        let buckets = self.position_buckets.unwrap_or(-1);
        let have_widths = || buckets >= MIN_BUCKETS && buckets / 2 < farthest - 1;
        if buckets > 0 && (buckets > MAX_SIZE as isize || !have_widths()) {
            return Err(unsupported("position_buckets", &buckets.to_string()));
        }
        Ok(())
    }
}
