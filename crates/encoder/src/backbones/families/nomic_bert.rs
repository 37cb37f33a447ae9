//! NomicBERT: BERT with rotations instead of a table of positions, gates, and hardly a bias.

use serde::Deserialize;
use serde_json::Value;

use super::config::{Config, check_known, unsupported};
use super::rope::Rope;
use crate::Error;
use crate::backbones::architecture::{Architecture, Embeddings, HasBias, Layer, Qkv, Rotation, Up};

const DEFAULT_BASE: f32 = 1000.0;

/// Hugging Face's transformers write the first, the model's own code the others.
#[derive(Debug, Deserialize)]
struct OwnKeys {
    rope_parameters: Option<Rope>,
    rotary_emb_base: Option<f32>,
    rotary_emb_fraction: Option<f32>,
    rotary_emb_scale_base: Option<Value>,
    rotary_scaling_factor: Option<f32>,
    rotary_emb_interleaved: Option<bool>,
    prenorm: Option<bool>,
    parallel_block: Option<bool>,
    qkv_proj_bias: Option<bool>,
    mlp_fc1_bias: Option<bool>,
    mlp_fc2_bias: Option<bool>,
    use_rms_norm: Option<bool>,
    /// Layers whose feed-forward blocks are mixtures of experts.
    moe_every_n_layers: Option<u32>,
}

impl OwnKeys {
    fn check(&self) -> Result<(), Error> {
        check_known(&[
            (
                "rotary_emb_interleaved",
                &self.rotary_emb_interleaved,
                false,
            ),
            ("prenorm", &self.prenorm, false),
            ("parallel_block", &self.parallel_block, false),
            ("qkv_proj_bias", &self.qkv_proj_bias, false),
            ("mlp_fc1_bias", &self.mlp_fc1_bias, false),
            ("mlp_fc2_bias", &self.mlp_fc2_bias, false),
            ("use_rms_norm", &self.use_rms_norm, false),
        ])?;
        check_known(&[
            ("rotary_emb_fraction", &self.rotary_emb_fraction, 1.0),
            ("rotary_scaling_factor", &self.rotary_scaling_factor, 1.0),
        ])?;
        check_known(&[("moe_every_n_layers", &self.moe_every_n_layers, 0)])?;
        match &self.rotary_emb_scale_base {
            None | Some(Value::Null) => Ok(()),
            Some(other) => Err(unsupported("rotary_emb_scale_base", &other.to_string())),
        }
    }
}

pub(super) fn architecture(config: &Config, prefix: &str) -> Result<Architecture, Error> {
    let own: OwnKeys = config.own()?;
    own.check()?;
    config.check_rotated()?;
    config.check_positions("rotary")?;
    let base = own.rotary_emb_base.unwrap_or(DEFAULT_BASE);
    let base = Rope::base(own.rope_parameters.as_ref(), base)?;
    let embeddings = Embeddings {
        positions: None,
        norm: Some(format!("{prefix}emb_ln")),
        ..config.embeddings_with_segments(prefix)
    };
    let architecture = config.stack(embeddings, |layer| {
        let part = |name: &str| format!("{prefix}encoder.layers.{layer}.{name}");
        Layer {
            qkv: Qkv::Joined(part("attn.Wqkv")),
            attention_output: part("attn.out_proj"),
            attention_norm: Some(part("norm1")),
            up: Up::Apart {
                activated: part("mlp.fc12"),
                gates: part("mlp.fc11"),
            },
            down: part("mlp.fc2"),
            feed_forward_norm: part("norm2"),
            rotation: Some(Rotation::of_base(base)),
            ..Layer::default()
        }
    })?;
    Ok(Architecture {
        gated: true,
        has_bias: HasBias {
            norms: true,
            ..HasBias::NONE
        },
        ..architecture
    })
}
