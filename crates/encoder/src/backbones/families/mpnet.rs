//! MPNet: BERT without segments, with a relative attention bias.

use serde::Deserialize;

use super::config::{Config, unsupported};
use crate::Error;
use crate::backbones::architecture::{Architecture, DistanceBias, Layer, Qkv, Up};
use crate::backbones::relative_bias::BUCKETS;

#[derive(Debug, Deserialize)]
struct OwnKeys {
    relative_attention_num_buckets: Option<usize>,
}

pub(super) fn architecture(config: &Config, prefix: &str) -> Result<Architecture, Error> {
    config.check_positions("absolute")?;
    let own: OwnKeys = config.own()?;
    // The model's own code takes this many, whatever its configuration says.
    if let Some(buckets) = own.relative_attention_num_buckets
        && buckets != BUCKETS
    {
        let key = "relative_attention_num_buckets";
        return Err(unsupported(key, &buckets.to_string()));
    }
    let architecture = config.stack(config.embeddings(prefix), |layer| {
        let part = |name: &str| format!("{prefix}encoder.layer.{layer}.{name}");
        Layer {
            qkv: Qkv::Apart(["attention.attn.q", "attention.attn.k", "attention.attn.v"].map(part)),
            attention_output: part("attention.attn.o"),
            attention_norm: Some(part("attention.LayerNorm")),
            up: Up::Whole(part("intermediate.dense")),
            down: part("output.dense"),
            feed_forward_norm: part("output.LayerNorm"),
            ..Layer::default()
        }
    })?;
    Ok(Architecture {
        distance_bias: Some(DistanceBias::Buckets(format!(
            "{prefix}encoder.relative_attention_bias.weight"
        ))),
        ..architecture
    })
}
