//! BERT, and RoBERTa, XLM-R and CamemBERT, which name their tensors as it does.

use super::config::Config;
use super::jina_bert;
use crate::Error;
use crate::backbones::architecture::{Architecture, Layer, Qkv, Up};

pub(super) fn architecture(config: &Config, prefix: &str) -> Result<Architecture, Error> {
    // Jina's models call themselves BERT, too.
    if config.position_embedding_type.as_deref() == Some(jina_bert::POSITIONS) {
        return jina_bert::architecture(config, prefix);
    }
    config.check_positions("absolute")?;
    config.stack(config.embeddings_with_segments(prefix), |layer| {
        let part = |name: &str| format!("{prefix}encoder.layer.{layer}.{name}");
        Layer {
            qkv: Qkv::Apart(
                [
                    "attention.self.query",
                    "attention.self.key",
                    "attention.self.value",
                ]
                .map(part),
            ),
            attention_output: part("attention.output.dense"),
            attention_norm: Some(part("attention.output.LayerNorm")),
            up: Up::Whole(part("intermediate.dense")),
            down: part("output.dense"),
            feed_forward_norm: part("output.LayerNorm"),
            ..Layer::default()
        }
    })
}
