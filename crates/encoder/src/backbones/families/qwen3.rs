//! Qwen3: a decoder, whose tokens see those before them, with norms by the mean square, heads that
//! share keys and values, and gates.

use serde::Deserialize;

use super::config::{Config, check_known};
use super::rope::Rope;
use crate::Error;
use crate::backbones::architecture::{
    Architecture, HasBias, Layer, Norm, Norms, Qkv, Rotation, Up,
};

/// What the table of words is called, after a prefix.
pub(super) const WORDS: &str = "embed_tokens.weight";
const DEFAULT_BASE: f32 = 10_000.0;
/// What norms add to the mean square where a configuration does not say it.
pub(super) const RMS_EPSILON: f64 = 1e-6;

/// Newer configurations have the first, older ones the two after it.
#[derive(Debug, Deserialize)]
struct OwnKeys {
    rope_parameters: Option<Rope>,
    rope_theta: Option<f32>,
    rope_scaling: Option<Rope>,
    attention_bias: Option<bool>,
    use_sliding_window: Option<bool>,
}

pub(super) fn architecture(config: &Config, prefix: &str) -> Result<Architecture, Error> {
    let own: OwnKeys = config.own()?;
    config.check_rotated()?;
    check_known(&[("use_sliding_window", &own.use_sliding_window, false)])?;
    let base = own.rope_theta.unwrap_or(DEFAULT_BASE);
    let rope = own.rope_parameters.as_ref().or(own.rope_scaling.as_ref());
    let base = Rope::base(rope, base)?;
    let embeddings = config.bare_embeddings(format!("{prefix}{WORDS}"));
    let architecture = config.stack(embeddings, |layer| Layer {
        rotation: Some(Rotation::of_base(base)),
        feed_forward_norm: format!("{prefix}layers.{layer}.post_attention_layernorm"),
        ..decoder_layer(prefix, layer)
    })?;
    Ok(Architecture {
        causal: true,
        gated: true,
        epsilon: config.layer_norm_eps.unwrap_or(RMS_EPSILON) as f32,
        norm: Norm::Rms,
        norms: Norms::Before {
            last: format!("{prefix}norm"),
        },
        has_bias: HasBias {
            attention: own.attention_bias.unwrap_or(false),
            ..HasBias::NONE
        },
        ..architecture
    })
}

/// What decoders call the parts of a layer that they all have.
pub(super) fn decoder_layer(prefix: &str, layer: usize) -> Layer {
    let part = |name: &str| format!("{prefix}layers.{layer}.{name}");
    let projections = ["q_proj", "k_proj", "v_proj"];
    Layer {
        qkv: Qkv::Apart(projections.map(|name| part(&format!("self_attn.{name}")))),
        query_key_norms: Some(["self_attn.q_norm", "self_attn.k_norm"].map(part)),
        attention_output: part("self_attn.o_proj"),
        attention_norm: Some(part("input_layernorm")),
        up: Up::Apart {
            activated: part("mlp.gate_proj"),
            gates: part("mlp.up_proj"),
        },
        down: part("mlp.down_proj"),
        ..Layer::default()
    }
}
