//! What configurations of single families may say, and what they may not.

use serde_json::{Value, json};

use crate::fixture::{Copy, assert_encodes};

#[test]
fn configurations_of_nomic_bert_by_hugging_face_mean_the_same() {
    let folder = Copy::of("nomic-bert");
    folder.change("config.json", |config| {
        let config = config.as_object_mut().unwrap();
        config.retain(|key, _| !key.starts_with("rotary_") && key != "activation_function");
        for (own, name) in [
            ("n_embd", "hidden_size"),
            ("n_layer", "num_hidden_layers"),
            ("n_head", "num_attention_heads"),
            ("n_inner", "intermediate_size"),
            ("n_positions", "max_position_embeddings"),
            ("layer_norm_epsilon", "layer_norm_eps"),
        ] {
            let value = config.remove(own).unwrap();
            config.insert(name.to_owned(), value);
        }
        config.insert("hidden_act".to_owned(), "silu".into());
        let rope = json!({"rope_theta": 1000.0, "rope_type": "default"});
        config.insert("rope_parameters".to_owned(), rope);
    });
    assert_encodes(&folder.open().unwrap(), "nomic-bert");
}

#[test]
fn configurations_of_gte_by_hugging_face_mean_the_same() {
    let folder = Copy::of("gte");
    folder.change("config.json", |config| {
        let own = config.as_object_mut().unwrap();
        for key in ["rope_theta", "rope_scaling", "position_embedding_type"] {
            own.remove(key).unwrap();
        }
        config["model_type"] = "gte".into();
        // What scaling by 8 comes to, with heads of 12 values.
        let factor = 8.0_f64.powf(2.0 / 12.0);
        config["rope_parameters"] =
            json!({"rope_type": "linear", "factor": factor, "rope_theta": 160_000.0});
    });
    assert_encodes(&folder.open().unwrap(), "gte");
}

#[test]
fn configurations_of_gemma_from_before_its_layers_had_types_mean_the_same() {
    let folder = Copy::of("gemma3");
    folder.change("config.json", |config| {
        let config = config.as_object_mut().unwrap();
        config.remove("layer_types").unwrap();
        config.remove("rope_parameters").unwrap();
        config.insert("rope_theta".to_owned(), json!(1_000_000.0));
        config.insert("rope_local_base_freq".to_owned(), json!(10_000.0));
        config.insert("_sliding_window_pattern".to_owned(), json!(2));
    });
    assert_encodes(&folder.open().unwrap(), "gemma3");
}

#[test]
fn configurations_of_qwen_before_rope_parameters_mean_the_same() {
    let folder = Copy::of("qwen3");
    folder.change("config.json", |config| {
        let config = config.as_object_mut().unwrap();
        config.remove("rope_parameters").unwrap();
        config.insert("rope_theta".to_owned(), json!(1_000_000));
        config.insert("rope_scaling".to_owned(), Value::Null);
    });
    assert_encodes(&folder.open().unwrap(), "qwen3");
}

/// Each value of a key that the family lacks is refused with a sentence that says so.
#[track_caller]
fn assert_refused<const CASES: usize>(name: &str, cases: [(&str, Value, &str); CASES]) {
    for (key, value, named) in cases {
        let folder = Copy::of(name);
        folder.change("config.json", |config| config[key] = value);
        let error = folder.error().to_string();
        assert!(error.contains(named), "{name} {key}: {error}");
    }
}

#[test]
fn what_nomic_bert_does_not_have_is_refused_and_named() {
    assert_refused(
        "nomic-bert",
        [
            ("prenorm", json!(true), "prenorm = true"),
            (
                "rotary_emb_fraction",
                json!(0.5),
                "rotary_emb_fraction = 0.5",
            ),
            (
                "rotary_scaling_factor",
                json!(2.0),
                "rotary_scaling_factor = 2",
            ),
            ("moe_every_n_layers", json!(2), "moe_every_n_layers = 2"),
            ("activation_function", json!("mish"), "mish"),
        ],
    );
}

#[test]
fn what_gte_does_not_have_is_refused_and_named() {
    let yarn = json!({"type": "yarn", "factor": 2.0});
    assert_refused(
        "gte",
        [
            ("rope_scaling", yarn, "rope_scaling = yarn"),
            (
                "position_embedding_type",
                json!("absolute"),
                "position_embedding_type = absolute",
            ),
            (
                "layer_norm_type",
                json!("rms_norm"),
                "layer_norm_type = rms_norm",
            ),
            ("pack_qkv", json!(false), "pack_qkv = false"),
        ],
    );
}

#[test]
fn what_jina_bert_does_not_have_is_refused_and_named() {
    let relative = "relative_key";
    let other_code = json!({"AutoModel": "jinaai/jina-bert-v2-qk-post-norm--a.B"});
    assert_refused(
        "jina-bert",
        [
            (
                "position_embedding_type",
                json!(relative),
                "position_embedding_type = relative_key",
            ),
            (
                "feed_forward_type",
                json!("original"),
                "feed_forward_type = original",
            ),
            ("auto_map", other_code, "qk-post-norm"),
        ],
    );
}

#[test]
fn what_decoders_do_not_have_is_refused_and_named() {
    let yarn = json!({"rope_type": "yarn", "factor": 4.0});
    assert_refused(
        "qwen3",
        [
            (
                "use_sliding_window",
                json!(true),
                "use_sliding_window = true",
            ),
            ("rope_parameters", yarn, "rope_type = yarn"),
            ("num_key_value_heads", json!(3), "num_key_value_heads"),
            ("head_dim", json!(0), "head_dim"),
        ],
    );
    let causal = "use_bidirectional_attention = false";
    assert_refused(
        "gemma3",
        [
            ("use_bidirectional_attention", json!(false), causal),
            (
                "attn_logit_softcapping",
                json!(50.0),
                "attn_logit_softcapping = 50",
            ),
            ("layer_types", json!(["full_attention"]), "layer 1"),
        ],
    );
}
