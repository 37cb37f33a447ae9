//! DistilBERT: BERT without segments.

use super::config::Config;
use crate::Error;
use crate::backbones::architecture::{Architecture, Layer, Qkv, Up};

pub(super) fn architecture(config: &Config, prefix: &str) -> Result<Architecture, Error> {
    config.check_positions("absolute")?;
    config.stack(config.embeddings(prefix), |layer| {
        let part = |name: &str| format!("{prefix}transformer.layer.{layer}.{name}");
        Layer {
            qkv: Qkv::Apart(["attention.q_lin", "attention.k_lin", "attention.v_lin"].map(part)),
            attention_output: part("attention.out_lin"),
            attention_norm: Some(part("sa_layer_norm")),
            up: Up::Whole(part("ffn.lin1")),
            down: part("ffn.lin2"),
            feed_forward_norm: part("output_layer_norm"),
            ..Layer::default()
        }
    })
}
