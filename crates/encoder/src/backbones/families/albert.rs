//! ALBERT: few layers that states go through again and again, and tables narrower than states.

use super::config::Config;
use crate::Error;
use crate::backbones::architecture::{Architecture, Embeddings, Layer, Projection};

pub(super) fn architecture(config: &Config, prefix: &str) -> Result<Architecture, Error> {
    let projection = Projection {
        name: format!("{prefix}encoder.embedding_hidden_mapping_in"),
        width: config.embedding_size.unwrap_or(128),
    };
    let embeddings = Embeddings {
        projection: Some(projection),
        ..config.embeddings_with_segments(prefix)
    };
    let (groups, members) = (config.num_hidden_groups, config.inner_group_num);
    let layers = config.num_hidden_layers;
    let group_of = |layer: usize| layer * groups / layers;
    let order = (0..layers)
        .flat_map(|layer| group_of(layer) * members..(group_of(layer) + 1) * members)
        .collect();
    let names = |layer: usize| {
        let (group, member) = (layer / members, layer % members);
        let layer = format!("{prefix}encoder.albert_layer_groups.{group}.albert_layers.{member}");
        let part = |name: &str| format!("{layer}.{name}");
        Layer {
            query: part("attention.query"),
            key: part("attention.key"),
            value: part("attention.value"),
            attention_output: part("attention.dense"),
            attention_norm: part("attention.LayerNorm"),
            up: part("ffn"),
            down: part("ffn_output"),
            output_norm: part("full_layer_layer_norm"),
        }
    };
    Ok(Architecture {
        layers: (0..groups * members).map(names).collect(),
        order,
        ..config.architecture(embeddings)?
    })
}
