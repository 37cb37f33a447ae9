//! Models that candle-transformers runs.

use serde_json::json;
use siamese_encoder::{Encoder, EncoderOptions, InputKind};

use crate::fixture::{Copy, assert_encodes, cosine, model, open};

/// Those that candle-transformers runs, on a CPU, too.
const MODELS_OF_CANDLE: [&str; 2] = ["deberta-v2", "deberta-v2-with-tables"];

#[test]
fn models_of_candle_transformers_encode_as_sentence_transformers_does_alone_and_in_a_mixed_batch() {
    for name in MODELS_OF_CANDLE {
        let encoder = open(&model(name), &EncoderOptions::default());
        assert_eq!(encoder.info().path, "candle-transformers");
        assert_encodes(&encoder, name);
    }
}

#[test]
fn types_of_attention_may_stand_in_one_string_as_published_models_have_them() {
    let folder = Copy::of("deberta-v2");
    folder.change("config.json", |config| {
        config["pos_att_type"] = "P2C | c2p".into()
    });
    assert_encodes(&folder.open().unwrap(), "deberta-v2");
    folder.change("config.json", |config| {
        config["pos_att_type"] = "c2p".into()
    });
    let text = ["The mill sings."];
    let vector = |encoder: &Encoder| {
        let mut encodings = encoder.encode(&text, InputKind::Query).unwrap();
        encodings.swap_remove(0).vector
    };
    let both = open(&model("deberta-v2"), &EncoderOptions::default());
    let similar = cosine(&vector(&folder.open().unwrap()), &vector(&both));
    assert!(similar < 0.999, "the key is not read: {similar}");
}

#[test]
fn what_candle_transformers_lacks_is_named() {
    for (key, value) in [
        ("conv_kernel_size", json!(3)),
        ("attention_head_size", json!(7)),
        ("embedding_size", json!(20)),
        ("norm_rel_ebd", json!("batch_norm")),
        ("position_buckets", json!(2)),
        ("position_buckets", json!(100)),
        ("max_relative_positions", json!(1_i64 << 40)),
        ("hidden_act", json!("swish")),
    ] {
        let folder = Copy::of("deberta-v2-with-tables");
        folder.change("config.json", |config| config[key] = value.clone());
        let error = folder.error().to_string();
        let named = format!("{key} = {}", value.to_string().replace('"', ""));
        assert!(error.contains(&named), "{error}");
    }
}

#[test]
fn weights_that_candle_transformers_does_not_find_are_named() {
    let folder = Copy::of("deberta-v2");
    folder.change("config.json", |config| {
        config["num_hidden_layers"] = 3.into()
    });
    let error = folder.error().to_string();
    assert!(
        error.contains("model.safetensors") && error.contains("it has no tensor encoder.layer.2."),
        "{error}"
    );
    let folder = Copy::of("deberta-v2");
    folder.change("config.json", |config| config["vocab_size"] = 99.into());
    let error = folder.error().to_string();
    assert!(
        error.contains("embeddings.word_embeddings.weight has the shape [107, 36], not [99, 36]"),
        "{error}"
    );
}
