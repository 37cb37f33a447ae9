//! ModernBERT: norms before blocks, gated feed-forward blocks, positions by rotation, and layers that
//! attend to near tokens only.

use serde::Deserialize;
use serde_json::Value;

use super::config::{Config, unsupported};
use super::rope::Rope;
use crate::Error;
use crate::backbones::architecture::{
    Architecture, Embeddings, HasBias, Layer, Norms, Qkv, Rotation, Up,
};

/// What the table of words is called, after a prefix.
pub(super) const WORDS: &str = "embeddings.tok_embeddings.weight";

/// Newer configurations have the first two, older ones the three after them.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct OwnKeys {
    layer_types: Option<Vec<String>>,
    rope_parameters: Option<RopeParameters>,
    global_attn_every_n_layers: usize,
    global_rope_theta: f32,
    local_rope_theta: f32,
    local_attention: usize,
    norm_eps: f32,
    norm_bias: bool,
    attention_bias: bool,
    mlp_bias: bool,
    rope_scaling: Option<Value>,
}

impl Default for OwnKeys {
    fn default() -> Self {
        Self {
            layer_types: None,
            rope_parameters: None,
            global_attn_every_n_layers: 3,
            global_rope_theta: 160_000.0,
            local_rope_theta: 10_000.0,
            local_attention: 128,
            norm_eps: 1e-5,
            norm_bias: false,
            attention_bias: false,
            mlp_bias: false,
            rope_scaling: None,
        }
    }
}

#[derive(Debug, Deserialize)]
struct RopeParameters {
    full_attention: Option<Rope>,
    sliding_attention: Option<Rope>,
}

pub(super) fn architecture(config: &Config, prefix: &str) -> Result<Architecture, Error> {
    let own: OwnKeys = config.own()?;
    config.check_sizes(&[(
        "global_attn_every_n_layers",
        own.global_attn_every_n_layers,
        usize::MAX,
    )])?;
    config.check_rotated()?;
    // Its positions are by rotation all the same.
    config.check_positions("absolute")?;
    let attention = own.attention(config)?;
    let embeddings = Embeddings {
        words: config.words(format!("{prefix}{WORDS}")),
        positions: None,
        segments: None,
        norm: Some(format!("{prefix}embeddings.norm")),
        scale: 1.0,
        projection: None,
        padding_id: None,
    };
    let architecture = config.stack(embeddings, |layer| {
        let part = |name: &str| format!("{prefix}layers.{layer}.{name}");
        let (window, base) = attention[layer];
        Layer {
            qkv: Qkv::Joined(part("attn.Wqkv")),
            attention_output: part("attn.Wo"),
            attention_norm: (layer > 0).then(|| part("attn_norm")),
            up: Up::Whole(part("mlp.Wi")),
            down: part("mlp.Wo"),
            feed_forward_norm: part("mlp_norm"),
            window,
            rotation: Some(Rotation::of_base(base)),
            ..Layer::default()
        }
    })?;
    Ok(Architecture {
        gated: true,
        epsilon: own.norm_eps,
        norms: Norms::Before {
            last: format!("{prefix}final_norm"),
        },
        has_bias: HasBias {
            attention: own.attention_bias,
            up: own.mlp_bias,
            down: own.mlp_bias,
            norms: own.norm_bias,
        },
        ..architecture
    })
}

impl OwnKeys {
    /// The window and the base of rotations of each layer.
    fn attention(&self, config: &Config) -> Result<Vec<(Option<usize>, f32)>, Error> {
        if let Some(scaling) = &self.rope_scaling
            && !scaling.is_null()
        {
            return Err(unsupported("rope_scaling", &scaling.to_string()));
        }
        let ropes = self.rope_parameters.as_ref();
        let full = ropes.and_then(|ropes| ropes.full_attention.as_ref());
        let global = Rope::base(full, self.global_rope_theta)?;
        let sliding = ropes.and_then(|ropes| ropes.sliding_attention.as_ref());
        let local = Rope::base(sliding, self.local_rope_theta)?;
        let kind = |layer: usize| match &self.layer_types {
            Some(types) => types.get(layer).map(String::as_str),
            None if layer.is_multiple_of(self.global_attn_every_n_layers) => Some("full_attention"),
            None => Some("sliding_attention"),
        };
        let attention = (0..config.num_hidden_layers).map(|layer| match kind(layer) {
            Some("full_attention") => Ok((None, global)),
            Some("sliding_attention") => Ok((Some(self.local_attention / 2), local)),
            Some(other) => Err(unsupported("layer_types", other)),
            None => Err(config.damaged(format!("layer_types says nothing of layer {layer}"))),
        });
        attention.collect()
    }
}
