//! Small random models in both dialects against vectors that sentence-transformers made.
//!
//! `fixtures/make_fixtures.py` made `fixtures/models`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests fail tests"
)]

mod candle_models;
mod damaged_folders;
mod families;
mod fixture;
mod routes;
mod static_models;
mod unsupported_models;
mod weight_files;

use fixture::{
    Copy, References, assert_encodes, assert_equal, assert_stays_close, cosine, generic, model,
    open,
};
use serde_json::{Value, json};
use siamese_encoder::{
    Encoder, EncoderOptions, InputKind, PoolingMode, Precision, TextInput, Truncation,
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
        assert_eq!(encoder.info().path, "candle f32");
        assert_encodes(&encoder, name);
    }
}

#[test]
fn the_generic_path_stays_close_in_sixteen_bits_where_the_range_of_f16_is_enough() {
    for name in MODELS {
        let states_add_up = ["modernbert", "qwen3", "gemma3"].contains(&name);
        for (precision, path, least_cosine) in [
            (Precision::Int16, "candle f16", 0.9999),
            (Precision::Bf16, "candle bf16", 0.998),
        ] {
            let options = EncoderOptions {
                precision,
                ..generic()
            };
            let path = match (precision, states_add_up) {
                (Precision::Int16, true) => "candle f32",
                _ => path,
            };
            assert_eq!(open(&model(name), &options).info().path, path, "{name}");
            assert_stays_close(name, &options, least_cosine);
        }
    }
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
fn tokens_of_a_lower_cased_text_stand_where_the_text_has_them() {
    let folder = Copy::of("bert-old-dialect");
    folder.change("sentence_bert_config.json", |config| {
        config["do_lower_case"] = true.into();
    });
    let encoder = folder.open().unwrap();
    // In lower case the first letter is two characters.
    let text = "İ RAIN";
    let tokens = encoder.text_tokens(text, false).unwrap();
    let last = tokens.last().unwrap().span.clone().unwrap();
    assert_eq!(last.end, text.chars().count());
    let spans = encoder.token_spans(text).unwrap();
    assert_eq!(&text[spans[0].clone()], "İ");
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
