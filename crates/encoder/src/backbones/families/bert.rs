//! BERT, and RoBERTa, XLM-R and CamemBERT, which name their tensors as it does.

use super::config::Config;
use crate::Error;
use crate::backbones::architecture::{Architecture, Layer};

pub(super) fn architecture(config: &Config, prefix: &str) -> Result<Architecture, Error> {
    config.stack(config.embeddings_with_segments(prefix), |layer| {
        let part = |name: &str| format!("{prefix}encoder.layer.{layer}.{name}");
        Layer {
            query: part("attention.self.query"),
            key: part("attention.self.key"),
            value: part("attention.self.value"),
            attention_output: part("attention.output.dense"),
            attention_norm: part("attention.output.LayerNorm"),
            up: part("intermediate.dense"),
            down: part("output.dense"),
            output_norm: part("output.LayerNorm"),
        }
    })
}
