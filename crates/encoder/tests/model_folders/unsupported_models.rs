//! Models that are refused, and what is said of them.

use serde_json::json;
use siamese_encoder::Error;

use crate::fixture::Copy;

#[test]
fn rotations_and_layers_of_unknown_kinds_are_refused_and_named() {
    for (key, value, named) in [
        (
            "rope_scaling",
            json!({"type": "linear", "factor": 2.0}),
            "rope_scaling",
        ),
        (
            "rope_parameters",
            json!({"full_attention": {"rope_type": "yarn"}}),
            "yarn",
        ),
        (
            "layer_types",
            json!(["full_attention", "chunked_attention"]),
            "chunked_attention",
        ),
        ("layer_types", json!(["full_attention"]), "layer 1"),
        ("num_attention_heads", json!(4), "odd length"),
        (
            "global_attn_every_n_layers",
            json!(0),
            "global_attn_every_n_layers",
        ),
        (
            "max_position_embeddings",
            json!(1 << 20),
            "max_position_embeddings",
        ),
    ] {
        let folder = Copy::of("modernbert");
        folder.change("config.json", |config| config[key] = value);
        let error = folder.error().to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let folder = Copy::of("bert-old-dialect");
    folder.change("config.json", |config| config["model_type"] = "bort".into());
    assert!(
        matches!(folder.error(), Error::UnsupportedModelType { model_type } if model_type == "bort")
    );

    let folder = Copy::of("bert-old-dialect");
    folder.change("config.json", |config| config["hidden_act"] = "mish".into());
    assert!(folder.error().to_string().contains("mish"));

    let folder = Copy::of("mpnet");
    folder.change("config.json", |config| {
        config["relative_attention_num_buckets"] = 64.into()
    });
    let error = folder.error().to_string();
    assert!(
        error.contains("relative_attention_num_buckets = 64"),
        "{error}"
    );

    let folder = Copy::of("bert-old-dialect");
    folder.change("modules.json", |modules| {
        modules[2]["type"] = "a.b.LSTM".into()
    });
    assert!(folder.error().to_string().contains("a.b.LSTM"));

    let folder = Copy::of("bert-dense-prompts");
    folder.change("2_Dense/config.json", |dense| {
        dense["activation_function"] = "a.b.Mish".into()
    });
    assert!(folder.error().to_string().contains("a.b.Mish"));
}

#[test]
fn similarities_that_rank_otherwise_than_the_cosine_are_refused() {
    let with_similarity = |name: &str, similarity: &str| {
        let folder = Copy::of(name);
        folder.change("config_sentence_transformers.json", |config| {
            config["similarity_fn_name"] = similarity.into();
        });
        folder
    };
    for similarity in ["cosine", "dot", "euclidean"] {
        let encoder = with_similarity("bert-old-dialect", similarity)
            .open()
            .unwrap();
        assert_eq!(encoder.info().similarity.to_string(), similarity);
    }
    for similarity in ["dot", "euclidean"] {
        let error = with_similarity("bert-dense-prompts", similarity)
            .error()
            .to_string();
        assert!(
            error.contains(&format!("by {similarity}")) && error.contains("Normalize"),
            "{error}"
        );
    }
    for similarity in ["manhattan", "hamming"] {
        let error = with_similarity("bert-old-dialect", similarity)
            .error()
            .to_string();
        assert!(
            error.contains(&format!("similarity_fn_name = {similarity}")),
            "{error}"
        );
    }
}

#[test]
fn modules_between_transformer_and_pooling_are_refused_by_name() {
    for module in [
        "WordWeights",
        "WeightedLayerPooling",
        "CNN",
        "LSTM",
        "LayerNorm",
    ] {
        let folder = Copy::of("bert-old-dialect");
        folder.change("modules.json", |modules| {
            let module_type = format!("sentence_transformers.models.{module}");
            let own = json!({"idx": 1, "name": "1", "path": "1_Other", "type": module_type});
            let modules = modules.as_array_mut().unwrap();
            modules[1]["idx"] = 2.into();
            modules[2]["idx"] = 3.into();
            modules.push(own);
        });
        let error = folder.error().to_string();
        assert!(
            error.contains(&format!("sentence_transformers.models.{module}")),
            "{error}"
        );
    }
}
