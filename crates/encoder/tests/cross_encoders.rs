//! Small random cross-encoders against scores that sentence-transformers made, and what happens
//! when a folder holds something else.
//!
//! `fixtures/make_fixtures.py` made `fixtures/models/cross-encoders`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests fail tests"
)]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use siamese_encoder::{Error, Precision, Reranker, RerankerOptions, Truncation};

const MODELS: [&str; 8] = [
    "bert",
    "bert-without-segments",
    "roberta",
    "xlm-roberta",
    "distilbert",
    "albert",
    "mpnet",
    "deberta-v2",
];

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/models/cross-encoders")
        .join(name)
}

fn open(folder: &Path) -> Reranker {
    Reranker::open(folder, &RerankerOptions::default())
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

/// Pairs by query, with what sentence-transformers makes of them.
struct References {
    pairs: Vec<(String, String)>,
    logits: Vec<f32>,
    scores: Vec<f32>,
}

impl References {
    fn of(name: &str) -> Self {
        let json = json_file(&model(name).join("references.json"));
        let numbers = |key: &str| serde_json::from_value(json[key].clone()).unwrap();
        Self {
            pairs: serde_json::from_value(json["pairs"].clone()).unwrap(),
            logits: numbers("logits"),
            scores: numbers("scores"),
        }
    }
}

#[track_caller]
fn assert_close(what: &str, value: f32, expected: f32, tolerance: f32) {
    let difference = (value - expected).abs();
    assert!(difference <= tolerance, "{what}: {value}, not {expected}");
}

#[test]
fn scores_are_those_of_sentence_transformers_alone_and_in_batches() {
    for name in MODELS {
        let (reranker, references) = (open(&model(name)), References::of(name));
        let mut tokenized = Vec::new();
        for ((query, passage), expected) in references.pairs.iter().zip(&references.scores) {
            let alone = reranker.rerank(query, &[passage]).unwrap();
            let what = format!("{name}: {query:?}, {passage:?}");
            assert_close(&what, alone[0], *expected, 1e-5);
            tokenized.extend(
                reranker
                    .tokenize_pairs(query, &[passage], Truncation::End)
                    .unwrap(),
            );
        }
        let together = reranker.logits(&tokenized.iter().collect::<Vec<_>>());
        for (logit, expected) in together.unwrap().into_iter().zip(&references.logits) {
            assert_close(name, logit, *expected, 1e-5);
        }
    }
}

#[test]
fn scores_of_other_precisions_stay_close() {
    for (precision, tolerance) in [
        (Precision::Int16, 1e-3),
        (Precision::Bf16, 0.05),
        (Precision::Int8, 0.3),
    ] {
        let options = RerankerOptions {
            precision,
            ..RerankerOptions::default()
        };
        for name in MODELS {
            let reranker = Reranker::open(&model(name), &options).unwrap();
            let references = References::of(name);
            for ((query, passage), expected) in references.pairs.iter().zip(&references.scores) {
                let score = reranker.rerank(query, &[passage]).unwrap()[0];
                assert_close(name, score, *expected, tolerance);
            }
        }
    }
}

#[test]
fn a_reranker_says_what_it_is() {
    let reranker = open(&model("bert"));
    let info = reranker.info();
    assert_eq!(info.architecture, "BertForSequenceClassification");
    assert_eq!((info.max_tokens, info.activation), (24, "sigmoid"));
    assert_eq!(open(&model("roberta")).info().activation, "identity");
    assert_eq!(open(&model("distilbert")).info().activation, "identity");
    assert_eq!(open(&model("xlm-roberta")).info().activation, "sigmoid");
}

#[test]
fn a_pair_over_the_window_is_cut_and_says_so() {
    let reranker = open(&model("bert"));
    let long = "rain ".repeat(60);
    let pairs = reranker
        .tokenize_pairs("mill", &[&long, "rain"], Truncation::End)
        .unwrap();
    assert_eq!(
        (pairs[0].tokens_kept(), pairs[0].is_truncated()),
        (24, true)
    );
    assert!(pairs[0].tokens_seen() > 60);
    assert!(!pairs[1].is_truncated());
}

#[test]
fn a_window_of_its_own_is_followed_up_to_the_models() {
    let open = |max_tokens| {
        let options = RerankerOptions {
            max_tokens: Some(max_tokens),
            ..RerankerOptions::default()
        };
        Reranker::open(&model("bert"), &options)
    };
    let pairs = open(10).unwrap();
    let pairs = pairs.tokenize_pairs("rain", &["rain ".repeat(30).as_str()], Truncation::End);
    assert_eq!(pairs.unwrap()[0].tokens_kept(), 10);
    for refused in [4, 25] {
        let error = open(refused).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::WindowOutOfRange { .. }), "{error}");
    }
}

#[test]
fn no_passages_have_no_scores() {
    assert!(open(&model("bert")).rerank("rain", &[]).unwrap().is_empty());
}

/// A model folder that a test may spoil.
struct Copy(tempfile::TempDir);

impl Copy {
    fn of(name: &str) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for entry in fs_err::read_dir(model(name)).unwrap() {
            let entry = entry.unwrap();
            fs_err::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        Self(copy)
    }

    fn change(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let path = self.0.path().join(file);
        let mut json = json_file(&path);
        change(&mut json);
        fs_err::write(path, json.to_string()).unwrap();
    }

    #[track_caller]
    fn error(&self) -> Error {
        let opened = Reranker::open(self.0.path(), &RerankerOptions::default());
        opened.map(|_| ()).unwrap_err()
    }
}

#[test]
fn a_missing_file_is_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let folder = Copy::of("bert");
        fs_err::remove_file(folder.0.path().join(file)).unwrap();
        assert!(folder.error().to_string().contains(file));
    }
}

#[test]
fn what_is_no_cross_encoder_of_one_logit_is_refused_and_named() {
    for (name, file, key, value, named) in [
        (
            "bert",
            "config.json",
            "architectures",
            json!(["BertModel"]),
            "BertModel",
        ),
        (
            "bert",
            "config.json",
            "architectures",
            json!([]),
            "architecture",
        ),
        (
            "bert",
            "config.json",
            "architectures",
            json!(["RobertaForSequenceClassification"]),
            "classifier.dense",
        ),
        (
            "bert",
            "config.json",
            "id2label",
            json!({"0": "no", "1": "yes"}),
            "num_labels = 2",
        ),
        (
            "deberta-v2",
            "config.json",
            "pooler_hidden_act",
            json!("tanh"),
            "pooler_hidden_act = tanh",
        ),
        ("bert", "config.json", "model_type", json!("bort"), "bort"),
        (
            "bert",
            "config_sentence_transformers.json",
            "activation_fn",
            json!("torch.nn.modules.activation.Mish"),
            "Mish",
        ),
        (
            "roberta",
            "config.json",
            "sbert_ce_default_activation_function",
            json!("torch.nn.modules.activation.Mish"),
            "Mish",
        ),
    ] {
        let folder = Copy::of(name);
        folder.change(file, |json| json[key] = value);
        let error = folder.error().to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn modules_after_the_transformer_are_refused_and_named() {
    let folder = Copy::of("bert");
    folder.change("modules.json", |modules| {
        let dense = json!({"idx": 1, "name": "1", "path": "1_Dense", "type": "a.b.Dense"});
        modules.as_array_mut().unwrap().push(dense);
    });
    assert!(matches!(folder.error(), Error::UnsupportedModule { .. }));
}

#[test]
fn a_prompt_before_every_query_is_refused() {
    let folder = Copy::of("bert");
    folder.change("config_sentence_transformers.json", |config| {
        config["prompts"] = json!({"web": "search: "});
        config["default_prompt_name"] = "web".into();
    });
    assert!(folder.error().to_string().contains("default_prompt_name"));
}
