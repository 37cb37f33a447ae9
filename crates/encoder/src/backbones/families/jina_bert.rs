//! JinaBERT: BERT with gates, whose positions are less attention the farther tokens are apart. Its
//! configurations say `bert`; what they say of positions tells it from BERT.

use serde::Deserialize;
use serde_json::Value;

use super::config::{Config, unsupported};
use crate::Error;
use crate::backbones::architecture::{
    Architecture, DistanceBias, Embeddings, HasBias, Layer, Qkv, Up,
};

/// What its configurations say of positions.
pub(super) const POSITIONS: &str = "alibi";
/// A part of the name of code for another model, with norms over queries and keys.
const OTHER_CODE: &str = "qk-post-norm";

#[derive(Debug, Deserialize)]
struct OwnKeys {
    feed_forward_type: Option<String>,
    auto_map: Option<Value>,
}

pub(super) fn architecture(config: &Config, prefix: &str) -> Result<Architecture, Error> {
    let OwnKeys {
        feed_forward_type,
        auto_map,
    } = config.own()?;
    let feed_forward = feed_forward_type.as_deref().unwrap_or("original");
    // The type of gates says the activation once more.
    if (feed_forward, config.hidden_act.as_str()) != ("geglu", "gelu")
        && (feed_forward, config.hidden_act.as_str()) != ("reglu", "relu")
    {
        return Err(unsupported("feed_forward_type", feed_forward));
    }
    let code = auto_map.unwrap_or_default().to_string();
    if code.contains(OTHER_CODE) {
        return Err(unsupported("auto_map", &code));
    }
    let embeddings = Embeddings {
        positions: None,
        ..config.embeddings_with_segments(prefix)
    };
    let architecture = config.stack(embeddings, |layer| {
        let part = |name: &str| format!("{prefix}encoder.layer.{layer}.{name}");
        let projections = ["query", "key", "value"];
        Layer {
            qkv: Qkv::Apart(projections.map(|name| part(&format!("attention.self.{name}")))),
            attention_output: part("attention.output.dense"),
            attention_norm: Some(part("attention.output.LayerNorm")),
            up: Up::Whole(part("mlp.gated_layers")),
            down: part("mlp.wo"),
            feed_forward_norm: part("mlp.layernorm"),
            ..Layer::default()
        }
    })?;
    Ok(Architecture {
        gated: true,
        has_bias: HasBias {
            up: false,
            ..HasBias::ALL
        },
        distance_bias: Some(DistanceBias::Slopes),
        ..architecture
    })
}
