//! Models without layers, as sentence-transformers and Model2Vec save them.

use serde_json::json;
use siamese_encoder::{EncoderOptions, InputKind, Precision, Truncation};

use crate::fixture::{
    Copy, References, assert_encodes, assert_equal, assert_stays_close, model, open,
};

const STATIC_MODELS: [&str; 2] = ["static-embedding", "model2vec"];

#[test]
fn static_models_encode_as_their_libraries_do_alone_and_in_a_mixed_batch() {
    for name in STATIC_MODELS {
        let encoder = open(&model(name), &EncoderOptions::default());
        assert_eq!(encoder.info().path, "static f32");
        assert_eq!(encoder.info().model_type, "static");
        assert_encodes(&encoder, name);
        let options = EncoderOptions {
            precision: Precision::Int16,
            ..EncoderOptions::default()
        };
        assert_stays_close(name, &options, 0.999_99);
    }
}

#[test]
fn a_folder_of_model2vec_with_modules_is_read_as_sentence_transformers_does() {
    let folder = Copy::of("model2vec");
    folder.write(
        "modules.json",
        &json!([
            {"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"},
            {"idx": 1, "name": "1", "path": "1_Normalize", "type": "sentence_transformers.models.Normalize"},
        ]),
    );
    let references = References::of("model2vec");
    let encodings = folder
        .open()
        .unwrap()
        .encode(&references.texts(), InputKind::Query)
        .unwrap();
    let expected = references.vectors("/sentence_transformers");
    for ((encoding, expected), text) in encodings.iter().zip(&expected).zip(&references.texts) {
        assert_equal(text, &encoding.vector, expected);
    }
}

#[test]
fn the_window_of_a_static_model_is_its_tokenizers_or_configurations() {
    let window = |name| {
        open(&model(name), &EncoderOptions::default())
            .info()
            .max_tokens
    };
    assert_eq!(STATIC_MODELS.map(window), [40, 24]);
    let folder = Copy::of("static-embedding");
    folder.change("tokenizer.json", |tokenizer| {
        tokenizer["truncation"] = json!(null)
    });
    assert_eq!(folder.open().unwrap().info().max_tokens, 1 << 16);
    let encoder = open(&model("static-embedding"), &EncoderOptions::default());
    let text = "The river bends. ".repeat(9);
    let tokens = encoder.tokenize(&text, InputKind::Document).unwrap();
    assert_eq!((tokens.tokens_kept(), tokens.is_truncated()), (40, true));
}

#[test]
fn tokens_that_model2vec_does_not_know_are_left_out_and_counted() {
    let encoder = open(&model("model2vec"), &EncoderOptions::default());
    let text = encoder
        .tokenize("rain 今日は rain", InputKind::Document)
        .unwrap();
    let known = encoder.tokenize("rain rain", InputKind::Document).unwrap();
    assert!(text.unknown_tokens() > 0 && !text.is_truncated());
    assert_eq!(text.tokens_kept(), known.tokens_kept());
    assert_eq!(
        encoder.token_spans("今日 rain").unwrap(),
        encoder.token_spans("       rain").unwrap()
    );
    let vectors = encoder.encode_tokenized(&[&text, &known]).unwrap();
    assert_eq!(vectors[0], vectors[1]);
}

#[test]
fn a_text_without_a_token_has_a_vector_of_zeros_and_no_explanation_fails() {
    for name in STATIC_MODELS {
        let encoder = open(&model(name), &EncoderOptions::default());
        let none = encoder.tokenize_all_after(
            InputKind::Query,
            "",
            &[siamese_encoder::TextInput::Text("")],
            Truncation::End,
        );
        let vectors = encoder
            .encode_tokenized(&none.unwrap().iter().collect::<Vec<_>>())
            .unwrap();
        assert!(vectors[0].iter().all(|value| *value == 0.0));
        assert_eq!(vectors[0].len(), encoder.info().dimensions);
        for parts in encoder
            .explain(&["", "The mill sings."], InputKind::Document)
            .unwrap()
        {
            assert_eq!(parts.vector().len(), encoder.info().dimensions);
        }
    }
}

#[test]
fn tables_that_do_not_fit_are_named() {
    let folder = Copy::of("model2vec");
    folder.write("config.json", &json!({"model_type": "word2vec"}));
    assert!(folder.error().to_string().contains("modules.json"));

    let folder = Copy::of("static-embedding");
    let bert = model("bert-old-dialect").join("model.safetensors");
    let weights = folder.path().join("0_StaticEmbedding/model.safetensors");
    let weights = match weights.exists() {
        true => weights,
        false => folder.path().join("model.safetensors"),
    };
    fs_err::copy(bert, weights).unwrap();
    let error = folder.error().to_string();
    assert!(
        error.contains("model.safetensors") && error.contains("no tensor embedding.weight"),
        "{error}"
    );
}
