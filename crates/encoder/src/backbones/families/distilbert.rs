//! DistilBERT: BERT without segments.

use super::config::Config;
use crate::Error;
use crate::backbones::architecture::{Architecture, Layer};

pub(super) fn architecture(config: &Config, prefix: &str) -> Result<Architecture, Error> {
    config.stack(config.embeddings(prefix), |layer| {
        let part = |name: &str| format!("{prefix}transformer.layer.{layer}.{name}");
        Layer {
            query: part("attention.q_lin"),
            key: part("attention.k_lin"),
            value: part("attention.v_lin"),
            attention_output: part("attention.out_lin"),
            attention_norm: part("sa_layer_norm"),
            up: part("ffn.lin1"),
            down: part("ffn.lin2"),
            output_norm: part("output_layer_norm"),
        }
    })
}
