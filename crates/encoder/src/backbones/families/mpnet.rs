//! MPNet: BERT without segments, with a relative attention bias.

use super::config::{Config, unsupported};
use crate::Error;
use crate::backbones::architecture::{Architecture, Layer};
use crate::backbones::relative_bias::BUCKETS;

pub(super) fn architecture(config: &Config, prefix: &str) -> Result<Architecture, Error> {
    // The model's own code takes this many, whatever its configuration says.
    if let Some(buckets) = config.relative_attention_num_buckets
        && buckets != BUCKETS
    {
        let key = "relative_attention_num_buckets";
        return Err(unsupported(key, &buckets.to_string()));
    }
    let architecture = config.stack(config.embeddings(prefix), |layer| {
        let part = |name: &str| format!("{prefix}encoder.layer.{layer}.{name}");
        Layer {
            query: part("attention.attn.q"),
            key: part("attention.attn.k"),
            value: part("attention.attn.v"),
            attention_output: part("attention.attn.o"),
            attention_norm: part("attention.LayerNorm"),
            up: part("intermediate.dense"),
            down: part("output.dense"),
            output_norm: part("output.LayerNorm"),
        }
    })?;
    Ok(Architecture {
        relative_bias: Some(format!("{prefix}encoder.relative_attention_bias.weight")),
        ..architecture
    })
}
