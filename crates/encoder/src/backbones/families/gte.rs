//! GTE, which calls itself "new" in the models' own code: BERT with rotations and gates.

use serde::Deserialize;

use super::config::{Config, check_known, unsupported};
use super::rope::Rope;
use crate::Error;
use crate::backbones::architecture::{Architecture, Embeddings, HasBias, Layer, Qkv, Rotation, Up};

const DEFAULT_BASE: f32 = 160_000.0;

/// Hugging Face's transformers write the first, the models' own code the others.
#[derive(Debug, Deserialize)]
struct OwnKeys {
    rope_parameters: Option<Rope>,
    rope_theta: Option<f32>,
    rope_scaling: Option<Scaling>,
    layer_norm_type: Option<String>,
    pack_qkv: Option<bool>,
    logn_attention_scale: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Scaling {
    #[serde(rename = "type")]
    kind: String,
    factor: f32,
    mixed_b: Option<f32>,
}

impl OwnKeys {
    fn check(&self) -> Result<(), Error> {
        check_known(&[
            ("pack_qkv", &self.pack_qkv, true),
            ("logn_attention_scale", &self.logn_attention_scale, false),
        ])?;
        let layer_norm = "layer_norm".to_owned();
        check_known(&[("layer_norm_type", &self.layer_norm_type, layer_norm)])
    }

    fn rotation(&self, head: usize) -> Result<Rotation, Error> {
        let Some(base) = self.rope_theta else {
            let rope = self.rope_parameters.as_ref();
            return Rope::rotation(rope, DEFAULT_BASE);
        };
        match &self.rope_scaling {
            None => Ok(Rotation::of_base(base)),
            // Fixed NTK scaling: the slowest pair turns slower by the factor, the fastest hardly.
            Some(Scaling {
                kind,
                factor,
                mixed_b: None,
            }) if kind == "ntk" && *factor >= 1.0 => Ok(Rotation {
                base: base * factor,
                slowdown: factor.powf(2.0 / head as f32),
            }),
            Some(scaling) => Err(unsupported("rope_scaling", &scaling.kind)),
        }
    }
}

pub(super) fn architecture(config: &Config, prefix: &str) -> Result<Architecture, Error> {
    let own: OwnKeys = config.own()?;
    own.check()?;
    config.check_rotated()?;
    config.check_positions("rope")?;
    let rotation = own.rotation(config.head())?;
    let embeddings = Embeddings {
        positions: None,
        ..config.embeddings_with_segments(prefix)
    };
    let architecture = config.stack(embeddings, |layer| {
        let part = |name: &str| format!("{prefix}encoder.layer.{layer}.{name}");
        Layer {
            qkv: Qkv::Joined(part("attention.qkv_proj")),
            attention_output: part("attention.o_proj"),
            attention_norm: Some(part("attn_ln")),
            up: Up::GatesFirst(part("mlp.up_gate_proj")),
            down: part("mlp.down_proj"),
            feed_forward_norm: part("mlp_ln"),
            rotation: Some(rotation),
            ..Layer::default()
        }
    })?;
    Ok(Architecture {
        gated: true,
        has_bias: HasBias {
            up: false,
            ..HasBias::ALL
        },
        ..architecture
    })
}
