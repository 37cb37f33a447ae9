//! Gemma 3, as EmbeddingGemma is made of it: tokens see those before and after them, most layers only
//! near ones, and norms are around blocks.

use serde::Deserialize;

use super::config::{Config, check_known, unsupported};
use super::qwen3::{RMS_EPSILON, WORDS, decoder_layer};
use super::rope::Rope;
use crate::Error;
use crate::backbones::architecture::{
    Architecture, Embeddings, HasBias, Layer, Norm, Norms, Rotation,
};

const DEFAULT_BASE: f32 = 1_000_000.0;
const DEFAULT_LOCAL_BASE: f32 = 10_000.0;
/// Every one of so many layers sees all tokens.
const DEFAULT_PATTERN: usize = 6;
const DEFAULT_WINDOW: usize = 4096;
const DEFAULT_SCALAR: f32 = 256.0;

/// Newer configurations have the first two, older ones the four after them.
#[derive(Debug, Deserialize)]
struct OwnKeys {
    layer_types: Option<Vec<String>>,
    rope_parameters: Option<RopeParameters>,
    #[serde(alias = "_sliding_window_pattern")]
    sliding_window_pattern: Option<usize>,
    rope_theta: Option<f32>,
    rope_local_base_freq: Option<f32>,
    rope_scaling: Option<Rope>,
    sliding_window: Option<usize>,
    query_pre_attn_scalar: Option<f32>,
    use_bidirectional_attention: Option<bool>,
    attention_bias: Option<bool>,
    attn_logit_softcapping: Option<f32>,
}

#[derive(Debug, Deserialize)]
struct RopeParameters {
    full_attention: Option<Rope>,
    sliding_attention: Option<Rope>,
}

pub(super) fn architecture(config: &Config, prefix: &str) -> Result<Architecture, Error> {
    let own: OwnKeys = config.own()?;
    config.check_rotated()?;
    let bidirectional = own.use_bidirectional_attention;
    if bidirectional != Some(true) {
        let said = bidirectional.unwrap_or_default().to_string();
        return Err(unsupported("use_bidirectional_attention", &said));
    }
    check_known(&[("attn_logit_softcapping", &own.attn_logit_softcapping, 0.0)])?;
    let attention = own.attention(config)?;
    let embeddings = Embeddings {
        scale: (config.hidden_size as f32).sqrt(),
        ..config.bare_embeddings(format!("{prefix}{WORDS}"))
    };
    let architecture = config.stack(embeddings, |layer| {
        let part = |name: &str| format!("{prefix}layers.{layer}.{name}");
        let (window, base) = attention[layer];
        Layer {
            attention_output_norm: Some(part("post_attention_layernorm")),
            feed_forward_norm: part("pre_feedforward_layernorm"),
            feed_forward_output_norm: Some(part("post_feedforward_layernorm")),
            window,
            rotation: Some(Rotation::of_base(base)),
            ..decoder_layer(prefix, layer)
        }
    })?;
    Ok(Architecture {
        score_scale: own
            .query_pre_attn_scalar
            .unwrap_or(DEFAULT_SCALAR)
            .sqrt()
            .recip(),
        gated: true,
        epsilon: config.layer_norm_eps.unwrap_or(RMS_EPSILON) as f32,
        norm: Norm::RmsMoreThanOnce,
        norms: Norms::Around {
            last: format!("{prefix}norm"),
        },
        has_bias: HasBias {
            attention: own.attention_bias.unwrap_or(false),
            ..HasBias::NONE
        },
        ..architecture
    })
}

impl OwnKeys {
    /// The window and the base of rotations of each layer.
    fn attention(&self, config: &Config) -> Result<Vec<(Option<usize>, f32)>, Error> {
        let pattern = self.sliding_window_pattern.unwrap_or(DEFAULT_PATTERN);
        config.check_sizes(&[("sliding_window_pattern", pattern, usize::MAX)])?;
        let ropes = self.rope_parameters.as_ref();
        let full = ropes.and_then(|ropes| ropes.full_attention.as_ref());
        let full = full.or(self.rope_scaling.as_ref());
        let global = Rope::base(full, self.rope_theta.unwrap_or(DEFAULT_BASE))?;
        let sliding = ropes.and_then(|ropes| ropes.sliding_attention.as_ref());
        let base = self.rope_local_base_freq.unwrap_or(DEFAULT_LOCAL_BASE);
        let local = Rope::base(sliding, base)?;
        // Half of the window is before a token and half after it.
        let window = self.sliding_window.unwrap_or(DEFAULT_WINDOW) / 2;
        let kind = |layer: usize| match &self.layer_types {
            Some(types) => types.get(layer).map(String::as_str),
            None if (layer + 1).is_multiple_of(pattern) => Some("full_attention"),
            None => Some("sliding_attention"),
        };
        let attention = (0..config.num_hidden_layers).map(|layer| match kind(layer) {
            Some("full_attention") => Ok((None, global)),
            Some("sliding_attention") => Ok((Some(window), local)),
            Some(other) => Err(unsupported("layer_types", other)),
            None => Err(config.damaged(format!("layer_types says nothing of layer {layer}"))),
        });
        attention.collect()
    }
}
