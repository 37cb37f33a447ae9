//! Small random models in both dialects against vectors that sentence-transformers made, and what
//! happens when their files are missing or damaged.
//!
//! `fixtures/make_fixtures.py` made `fixtures/models`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests fail tests"
)]

mod families;
mod fixture;
mod routes;
mod static_models;
mod weight_files;

use fixture::{
    Copy, References, assert_encodes, assert_equal, assert_stays_close, cosine, generic, model,
    open,
};
use serde_json::{Value, json};
use siamese_encoder::{
    Encoder, EncoderOptions, Error, InputKind, PoolingMode, Precision, TextInput, Truncation,
};

const MODELS: [&str; 13] = [
    "bert-old-dialect",
    "bert-dense-prompts",
    "roberta",
    "xlm-roberta",
    "distilbert",
    "albert",
    "mpnet",
    "modernbert",
    "nomic-bert",
    "gte",
    "jina-bert",
    "qwen3",
    "gemma3",
];

/// Those that candle-transformers runs, on a CPU, too.
const MODELS_OF_CANDLE: [&str; 2] = ["deberta-v2", "deberta-v2-with-tables"];

#[test]
fn every_model_encodes_as_sentence_transformers_does_alone_and_in_a_mixed_batch() {
    for name in MODELS {
        let encoder = open(&model(name), &EncoderOptions::default());
        assert!(encoder.info().path.starts_with("packed "));
        assert_encodes(&encoder, name);
    }
}

#[test]
fn the_generic_path_encodes_the_same() {
    for name in MODELS {
        let encoder = open(&model(name), &generic());
        assert_eq!(encoder.info().path, "candle");
        assert_encodes(&encoder, name);
    }
}

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

#[test]
fn the_number_of_threads_changes_nothing() {
    for threads in [1, 2, 3, 5] {
        let options = EncoderOptions {
            threads: Some(threads),
            ..EncoderOptions::default()
        };
        assert_encodes(
            &open(&model("bert-old-dialect"), &options),
            "bert-old-dialect",
        );
    }
}

#[test]
fn reduced_precision_stays_close() {
    for (precision, least_cosine) in [
        (Precision::Int16, 0.99999),
        (Precision::Bf16, 0.999),
        (Precision::Int8, 0.99),
    ] {
        let options = EncoderOptions {
            precision,
            ..EncoderOptions::default()
        };
        for name in MODELS {
            assert_stays_close(name, &options, least_cosine);
        }
    }
}

#[test]
fn every_pooling_and_their_concatenation_follow_sentence_transformers() {
    let references = References::of("bert-old-dialect");
    for (modes, _) in references.json["pooling"].as_object().unwrap() {
        let folder = Copy::of("bert-old-dialect");
        let names: Vec<&str> = modes.split('+').collect();
        folder.write(
            "1_Pooling/config.json",
            &json!({"embedding_dimension": 36, "pooling_mode": names}),
        );
        let encoder = open(folder.path(), &EncoderOptions::default());
        assert_eq!(encoder.info().dimensions, 36 * names.len());
        let expected = references.vectors(&format!("/pooling/{modes}"));
        let encodings = encoder
            .encode(&references.texts(), InputKind::Query)
            .unwrap();
        for (encoding, expected) in encodings.iter().zip(&expected) {
            assert_equal(modes, &encoding.vector, expected);
        }
    }
}

#[test]
fn a_model_says_what_it_is() {
    let encoder = open(&model("bert-dense-prompts"), &EncoderOptions::default());
    let info = encoder.info();
    assert_eq!((info.dimensions, info.max_tokens), (20, 24));
    assert_eq!(info.pooling, [PoolingMode::Cls, PoolingMode::Mean]);
    assert_eq!(info.prompts["query"], "rain: ");
    assert_eq!(info.model, "bert-dense-prompts");
    assert_eq!(
        open(&model("roberta"), &EncoderOptions::default())
            .info()
            .max_tokens,
        40
    );
}

#[test]
fn truncation_is_reported_and_the_tokenizers_own_is_not_followed() {
    let encoder = open(&model("bert-old-dialect"), &EncoderOptions::default());
    let long = encoder
        .tokenize(&"rain ".repeat(60), InputKind::Query)
        .unwrap();
    assert_eq!((long.tokens_kept(), long.is_truncated()), (24, true));
    assert!(long.tokens_seen() > 60);
    let short = encoder.tokenize("rain", InputKind::Query).unwrap();
    assert!(short.tokens_kept() < 9, "padded to {}", short.tokens_kept());
    assert!(!short.is_truncated());
}

/// Vectors of inputs without a prompt.
fn vectors(encoder: &Encoder, inputs: &[TextInput<'_>], truncation: Truncation) -> Vec<Vec<f32>> {
    let texts = encoder
        .tokenize_all_after(InputKind::Document, "", inputs, truncation)
        .unwrap();
    encoder
        .encode_tokenized(&texts.iter().collect::<Vec<_>>())
        .unwrap()
}

#[test]
fn the_ids_of_a_texts_tokens_have_the_vector_of_the_text() {
    for name in MODELS {
        let encoder = open(&model(name), &EncoderOptions::default());
        for text in ["rain falls", "the mill by the river", ""] {
            let ids = |with_special: bool| -> Vec<u32> {
                let tokens = encoder.text_tokens(text, with_special).unwrap();
                tokens.iter().map(|token| token.id).collect()
            };
            let (bare, framed) = (ids(false), ids(true));
            assert!(framed.len() > bare.len(), "{name}");
            let inputs = [
                TextInput::Text(text),
                TextInput::Ids(&bare),
                TextInput::Ids(&framed),
            ];
            let vectors = vectors(&encoder, &inputs, Truncation::End);
            assert_eq!(vectors[0], vectors[1], "{name} {text:?}");
            assert_eq!(vectors[0], vectors[2], "{name} {text:?}");
        }
        assert!(encoder.has_token(0));
        assert!(!encoder.has_token(encoder.vocabulary_size() as u32 + 1000));
    }
}

#[test]
fn a_text_over_the_window_loses_the_end_that_is_named() {
    let encoder = open(&model("bert-old-dialect"), &EncoderOptions::default());
    // Long enough for several pieces.
    for filling in [60, 20_000] {
        let (rain, mill) = ("rain ".repeat(filling), "mill ".repeat(30));
        let (start, end) = (format!("{rain}{mill}"), format!("{mill}{rain}"));
        let of = |text: &str, truncation| {
            let inputs = [TextInput::Text(text), TextInput::Text(&mill)];
            let vectors = vectors(&encoder, &inputs, truncation);
            vectors[0] == vectors[1]
        };
        assert!(of(&start, Truncation::Start) && of(&end, Truncation::End));
        assert!(!of(&start, Truncation::End) && !of(&end, Truncation::Start));
    }
}

#[test]
fn tokens_stand_where_the_text_has_them() {
    let encoder = open(&model("bert-old-dialect"), &EncoderOptions::default());
    let text = "Le café: rain";
    let tokens = encoder.text_tokens(text, true).unwrap();
    assert_eq!(
        (&tokens[0].span, &tokens[tokens.len() - 1].span),
        (&None, &None)
    );
    let last = tokens[tokens.len() - 2].span.clone().unwrap();
    let letters: String = text.chars().skip(last.start).take(last.len()).collect();
    assert!("rain".ends_with(&letters), "{letters}");
    let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
    assert!(encoder.decode(&ids, true).unwrap().ends_with("rain"));
}

#[test]
fn the_states_of_all_tokens_are_returned_where_they_are_wanted() {
    let encoder = open(&model("bert-old-dialect"), &EncoderOptions::default());
    let text = encoder.tokenize("rain falls", InputKind::Query).unwrap();
    let tokens = text.tokens_kept();
    let states = encoder
        .encode_tokenized(&[&text.clone().for_token_states(), &text])
        .unwrap();
    assert_eq!(
        states[0].len(),
        tokens * encoder.state_width(InputKind::Query)
    );
    assert_eq!(states[1].len(), encoder.info().dimensions);
}

#[test]
fn no_text_at_all_makes_no_vector() {
    let encoder = open(&model("distilbert"), &EncoderOptions::default());
    assert!(encoder.encode(&[], InputKind::Query).unwrap().is_empty());
}

#[test]
fn a_missing_file_is_named() {
    for file in [
        "modules.json",
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
    ] {
        let folder = Copy::of("bert-dense-prompts");
        fs_err::remove_file(folder.path().join(file)).unwrap();
        let error = folder.error();
        assert!(
            matches!(&error, Error::MissingFile { path } if path.ends_with(file)),
            "{error}"
        );
        assert!(error.to_string().contains(file), "{error}");
    }
}

#[test]
fn a_file_cut_short_anywhere_is_named_and_panics_nowhere() {
    for file in [
        "modules.json",
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "2_Dense/model.safetensors",
    ] {
        let folder = Copy::of("bert-dense-prompts");
        let path = folder.path().join(file);
        let bytes = fs_err::read(&path).unwrap();
        // A line break at the end means nothing.
        let last = bytes.trim_ascii_end().len() - 1;
        for part in [0, 1, 7, 8, 9, 100, last / 2, last] {
            fs_err::write(&path, &bytes[..part.min(last)]).unwrap();
            let error = folder.error();
            assert!(error.to_string().contains(file), "{part} bytes: {error}");
        }
    }
}

#[test]
fn weights_of_another_shape_are_an_error_that_names_the_tensor() {
    for (name, key, value, tensor) in [
        ("bert-old-dialect", "hidden_size", 48, "word_embeddings"),
        ("bert-old-dialect", "intermediate_size", 60, "intermediate"),
        ("bert-old-dialect", "vocab_size", 100, "word_embeddings"),
        ("bert-old-dialect", "num_hidden_layers", 3, "layer.2."),
        (
            "bert-old-dialect",
            "max_position_embeddings",
            512,
            "position_embeddings",
        ),
        ("albert", "embedding_size", 36, "word_embeddings"),
        ("albert", "num_hidden_groups", 3, "albert_layer_groups.2."),
        ("albert", "inner_group_num", 3, "albert_layers.2."),
    ] {
        let folder = Copy::of(name);
        folder.change("config.json", |config| config[key] = value.into());
        let error = folder.error().to_string();
        assert!(
            error.contains("model.safetensors") && error.contains(tensor),
            "{key}: {error}"
        );
    }
}

#[test]
fn tensors_may_have_the_models_name_before_theirs() {
    for (name, prefix) in [("bert-old-dialect", "bert."), ("modernbert", "model.")] {
        let folder = Copy::of(name);
        let path = folder.path().join("model.safetensors");
        let file = fs_err::read(&path).unwrap();
        let (length, rest) = file.split_at(8);
        let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        let header: serde_json::Map<String, Value> =
            serde_json::from_slice(&rest[..length]).unwrap();
        let tensors = header
            .into_iter()
            .filter(|(name, _)| name != "__metadata__");
        let renamed = tensors.map(|(name, tensor)| (format!("{prefix}{name}"), tensor));
        let header = Value::Object(renamed.collect()).to_string();
        let mut renamed = (header.len() as u64).to_le_bytes().to_vec();
        renamed.extend(header.as_bytes());
        renamed.extend(&rest[length..]);
        fs_err::write(&path, renamed).unwrap();
        assert_encodes(&folder.open().unwrap(), name);
    }
}

#[test]
fn impossible_sizes_are_refused() {
    for (name, key, value) in [
        ("bert-old-dialect", "num_attention_heads", 5),
        ("bert-old-dialect", "num_attention_heads", 0),
        ("bert-old-dialect", "hidden_size", 0),
        ("bert-old-dialect", "hidden_size", usize::MAX),
        ("bert-old-dialect", "intermediate_size", usize::MAX),
        ("bert-old-dialect", "num_hidden_layers", usize::MAX),
        ("albert", "embedding_size", 0),
        ("albert", "num_hidden_groups", 0),
        ("albert", "inner_group_num", usize::MAX),
    ] {
        let folder = Copy::of(name);
        folder.change("config.json", |config| config[key] = value.into());
        let error = folder.error();
        assert!(error.to_string().contains("config.json"), "{key}: {error}");
    }
}

#[test]
fn configurations_of_modernbert_from_before_its_layers_had_types_mean_the_same() {
    let folder = Copy::of("modernbert");
    folder.change("config.json", |config| {
        let config = config.as_object_mut().unwrap();
        config.remove("layer_types").unwrap();
        config.remove("rope_parameters").unwrap();
        config.insert("global_attn_every_n_layers".to_owned(), 3.into());
        config.insert("global_rope_theta".to_owned(), 160_000.0.into());
        config.insert("local_rope_theta".to_owned(), 10_000.0.into());
    });
    assert_encodes(&folder.open().unwrap(), "modernbert");
}

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
fn flipped_bits_in_the_header_panic_nowhere() {
    let folder = Copy::of("distilbert");
    let path = folder.path().join("model.safetensors");
    let bytes = fs_err::read(&path).unwrap();
    for at in (0..4096).step_by(13) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x15;
        fs_err::write(&path, &damaged).unwrap();
        // A flipped bit may also change what nobody reads; then the folder opens.
        if let Err(error) = folder.open() {
            assert!(
                error.to_string().contains("model.safetensors"),
                "{at}: {error}"
            );
        }
    }
}

/// Where a tensor's values are in a safetensors file.
fn tensor_bytes(file: &[u8], name: &str) -> std::ops::Range<usize> {
    let header_bytes = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let values = 8 + header_bytes;
    let header: Value = serde_json::from_slice(&file[8..values]).unwrap();
    let offset = |place: usize| header[name]["data_offsets"][place].as_u64().unwrap() as usize;
    values + offset(0)..values + offset(1)
}

#[test]
fn weights_that_are_no_numbers_make_an_error_and_no_vector() {
    let folder = Copy::of("bert-old-dialect");
    let path = folder.path().join("model.safetensors");
    let mut bytes = fs_err::read(&path).unwrap();
    let place = tensor_bytes(&bytes, "embeddings.LayerNorm.weight");
    bytes[place].copy_from_slice(&f32::NAN.to_le_bytes().repeat(36));
    fs_err::write(&path, bytes).unwrap();
    for options in [EncoderOptions::default(), generic()] {
        let encoder = Encoder::open(folder.path(), &options).unwrap();
        let error = encoder
            .encode(&["rain"], InputKind::Query)
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, Error::NonFinite { index: 0 }), "{error}");
    }
}

#[test]
fn a_tokenizer_that_knows_more_than_the_model_is_an_error() {
    for name in ["bert-old-dialect", "deberta-v2"] {
        let folder = Copy::of(name);
        let other = Copy::of("roberta");
        fs_err::copy(
            other.path().join("tokenizer.json"),
            folder.path().join("tokenizer.json"),
        )
        .unwrap();
        let encoder = folder.open().unwrap();
        let text = "e-mail addresses appear in texts: ÄÖÜ ぁ ❤";
        let error = encoder
            .encode(&[text], InputKind::Query)
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, Error::TokenOutOfRange { .. }), "{error}");
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
fn a_folder_without_a_tokenizers_file_says_what_to_make_it_of() {
    for name in ["vocab.txt", "spiece.model", "sentencepiece.bpe.model"] {
        let folder = Copy::of("bert-old-dialect");
        fs_err::rename(
            folder.path().join("tokenizer.json"),
            folder.path().join(name),
        )
        .unwrap();
        let error = folder.error().to_string();
        assert!(error.contains("tokenizer.json is missing"), "{error}");
        assert!(
            error.contains(name) && error.contains("save_pretrained"),
            "{error}"
        );
    }
}

#[test]
fn a_model_that_truncates_its_vectors_does_so_here() {
    let folder = Copy::of("bert-old-dialect");
    folder.change("config_sentence_transformers.json", |config| {
        config["truncate_dim"] = 20.into()
    });
    let text = ["The mill sings."];
    let vector = |encoder: &Encoder| {
        encoder
            .encode(&text, InputKind::Query)
            .unwrap()
            .swap_remove(0)
            .vector
    };
    let whole = vector(&open(
        &model("bert-old-dialect"),
        &EncoderOptions::default(),
    ));
    let truncated = vector(&folder.open().unwrap());
    assert_eq!(truncated.len(), 20);
    assert!(cosine(&truncated, &whole[..20]) > 0.999_999);
    let options = EncoderOptions {
        dimensions: Some(30),
        ..EncoderOptions::default()
    };
    assert_eq!(open(folder.path(), &options).info().dimensions, 30);
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

#[test]
fn what_decides_the_vectors_decides_the_id() {
    let id = |folder: &Copy| folder.open().unwrap().info().id.clone();
    let original = id(&Copy::of("bert-dense-prompts"));
    assert_eq!(original, id(&Copy::of("bert-dense-prompts")));

    let prompts = Copy::of("bert-dense-prompts");
    prompts.change("config_sentence_transformers.json", |c| {
        c["prompts"]["query"] = "q: ".into()
    });
    let pooling = Copy::of("bert-dense-prompts");
    pooling.change("1_Pooling/config.json", |c| {
        c["include_prompt"] = true.into()
    });
    let weights = Copy::of("bert-dense-prompts");
    let path = weights.path().join("model.safetensors");
    let mut bytes = fs_err::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(&path, bytes).unwrap();
    for changed in [prompts, pooling, weights] {
        assert_ne!(id(&changed), original);
    }
}
