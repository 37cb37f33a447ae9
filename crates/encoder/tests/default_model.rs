//! The default model against vectors that Hugging Face's implementation made.
//!
//! `fixtures/make_references.py` made `fixtures/all-MiniLM-L6-v2.json`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests fail tests"
)]

use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;
use siamese_encoder::{Encoder, EncoderOptions, InputKind, Precision};
use siamese_tests::model_dir;

fn encoder() -> &'static Encoder {
    static ENCODER: OnceLock<Encoder> = OnceLock::new();
    ENCODER.get_or_init(|| Encoder::open(model_dir(), &EncoderOptions::default()).unwrap())
}

/// Texts with their reference vectors.
fn references() -> Vec<(String, Vec<f32>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/all-MiniLM-L6-v2.json");
    let json: Vec<Value> = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
    json.iter()
        .map(|entry| (text(entry), vector(entry)))
        .collect()
}

fn text(entry: &Value) -> String {
    let repeat = entry["repeat"].as_u64().unwrap_or(1) as usize;
    entry["text"].as_str().unwrap().repeat(repeat)
}

fn vector(entry: &Value) -> Vec<f32> {
    let values = entry["vector"].as_array().unwrap();
    values
        .iter()
        .map(|value| value.as_f64().unwrap() as f32)
        .collect()
}

fn cosine(left: &[f32], right: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

#[test]
fn vectors_equal_hugging_faces_for_varied_texts() {
    let references = references();
    assert!(references.len() >= 24);
    for (text, expected) in &references {
        let encoding = &encoder().encode(&[text], InputKind::Document).unwrap()[0];
        let cosine = cosine(&encoding.vector, expected);
        assert!(
            cosine >= 0.99999,
            "{cosine} for {:?}",
            text.chars().take(60).collect::<String>()
        );
        let largest = encoding
            .vector
            .iter()
            .zip(expected)
            .map(|(a, b)| (a - b).abs());
        assert!(
            largest.fold(0.0, f32::max) < 1e-5,
            "{:?}",
            text.chars().take(60).collect::<String>()
        );
    }
}

#[test]
fn the_example_sentence_has_its_published_start() {
    let text = "This is an example sentence";
    let encoding = &encoder().encode(&[text], InputKind::Query).unwrap()[0];
    let expected = [
        0.067_656_9,
        0.063_495_9,
        0.048_713_1,
        0.079_304_9,
        0.037_448_0,
    ];
    for (value, expected) in encoding.vector.iter().zip(expected) {
        assert!((value - expected).abs() < 1e-5, "{value} is not {expected}");
    }
}

#[test]
fn a_text_has_the_same_vector_alone_and_in_a_mixed_batch_bit_for_bit() {
    let references = references();
    let texts: Vec<&str> = references.iter().map(|(text, _)| text.as_str()).collect();
    for precision in [Precision::F32, Precision::Int16] {
        let options = EncoderOptions {
            precision,
            ..EncoderOptions::default()
        };
        let encoder = Encoder::open(model_dir(), &options).unwrap();
        let together = encoder.encode(&texts, InputKind::Document).unwrap();
        for (text, batched) in texts.iter().zip(&together) {
            let alone = &encoder.encode(&[text], InputKind::Document).unwrap()[0];
            let [alone, batched] = [&alone.vector, &batched.vector].map(|vector| bits(vector));
            assert!(alone == batched, "{precision:?}, {text:?}");
        }
    }
}

fn bits(vector: &[f32]) -> Vec<u32> {
    vector.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_text_over_the_window_says_what_was_cut() {
    let text = "word ".repeat(1000);
    let encoding = &encoder().encode(&[&text], InputKind::Document).unwrap()[0];
    assert_eq!((encoding.tokens_seen, encoding.tokens_kept), (1002, 256));
    let short = &encoder().encode(&["word"], InputKind::Document).unwrap()[0];
    assert_eq!((short.tokens_seen, short.tokens_kept), (3, 3));
}

#[test]
fn vectors_have_unit_length() {
    let encoding = &encoder()
        .encode(&["anything"], InputKind::Document)
        .unwrap()[0];
    let length: f32 = encoding.vector.iter().map(|value| value * value).sum();
    assert!((length - 1.0).abs() < 1e-5);
}

#[test]
fn fewer_dimensions_are_the_first_ones_scaled_again_under_another_id() {
    let options = EncoderOptions {
        dimensions: Some(64),
        ..EncoderOptions::default()
    };
    let small = Encoder::open(model_dir(), &options).unwrap();
    assert_ne!(small.info().id, encoder().info().id);
    let full = &encoder()
        .encode(&["anything"], InputKind::Document)
        .unwrap()[0]
        .vector;
    let cut = &small.encode(&["anything"], InputKind::Document).unwrap()[0].vector;
    assert_eq!(cut.len(), 64);
    assert!(cosine(cut, &full[..64]) > 0.999_999);
    assert!((cut.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
}
