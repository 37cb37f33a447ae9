//! ALBERT: few layers that states go through again and again, and tables narrower than states.

use serde::Deserialize;

use super::config::{Config, MAX_LAYERS, MAX_SIZE};
use crate::Error;
use crate::backbones::architecture::{Architecture, Embeddings, Layer, Projection, Qkv, Up};

#[derive(Debug, Deserialize)]
struct OwnKeys {
    #[serde(default = "default_embedding_size")]
    embedding_size: usize,
    #[serde(default = "one")]
    num_hidden_groups: usize,
    #[serde(default = "one")]
    inner_group_num: usize,
}

fn default_embedding_size() -> usize {
    128
}

fn one() -> usize {
    1
}

pub(super) fn architecture(config: &Config, prefix: &str) -> Result<Architecture, Error> {
    config.check_positions("absolute")?;
    let OwnKeys {
        embedding_size,
        num_hidden_groups: groups,
        inner_group_num: members,
    } = config.own()?;
    let layers = config.num_hidden_layers;
    let most_members = MAX_LAYERS / layers.max(groups).max(1);
    config.check_sizes(&[
        ("embedding_size", embedding_size, MAX_SIZE),
        ("num_hidden_groups", groups, MAX_LAYERS),
        ("inner_group_num", members, most_members),
    ])?;
    let projection = Projection {
        name: format!("{prefix}encoder.embedding_hidden_mapping_in"),
        width: embedding_size,
    };
    let embeddings = Embeddings {
        projection: Some(projection),
        ..config.embeddings_with_segments(prefix)
    };
    let group_of = |layer: usize| layer * groups / layers;
    let order = (0..layers)
        .flat_map(|layer| group_of(layer) * members..(group_of(layer) + 1) * members)
        .collect();
    let names = |layer: usize| {
        let (group, member) = (layer / members, layer % members);
        let layer = format!("{prefix}encoder.albert_layer_groups.{group}.albert_layers.{member}");
        let part = |name: &str| format!("{layer}.{name}");
        Layer {
            qkv: Qkv::Apart(["attention.query", "attention.key", "attention.value"].map(part)),
            attention_output: part("attention.dense"),
            attention_norm: Some(part("attention.LayerNorm")),
            up: Up::Whole(part("ffn")),
            down: part("ffn_output"),
            feed_forward_norm: part("full_layer_layer_norm"),
            ..Layer::default()
        }
    };
    Ok(Architecture {
        layers: (0..groups * members).map(names).collect(),
        order,
        ..config.architecture(embeddings)?
    })
}
