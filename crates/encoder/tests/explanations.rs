//! Contributions of tokens add up to the cosine, whatever the model.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests fail tests"
)]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use siamese_encoder::{
    Contributions, Encoder, EncoderOptions, Error, InputKind, TokenSource, VectorParts, best_pairs,
    words,
};

/// Fixtures whose modules are linear.
const LINEAR: [&str; 9] = [
    "bert-old-dialect",
    "roberta",
    "xlm-roberta",
    "distilbert",
    "albert",
    "mpnet",
    "modernbert",
    "deberta-v2",
    "deberta-v2-with-tables",
];

const TEXTS: [&str; 6] = [
    "rain",
    "",
    "The mill sings.",
    "Grüße aus Köln ❤️ und 今日は",
    "Nobody had read the papers before the river bends, at the end of 42 valleys on Tuesday.",
    // Over the window of every fixture but two.
    "A committee met on Tuesday to discuss the budget; nobody had read the papers. Rain falls on the roof and \
     the gutters sing all night long. The river bends twice before it reaches the mill at the end of the valley.",
];

const TOLERANCE: f64 = 1e-5;

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/models")
        .join(name)
}

fn open(name: &str, options: &EncoderOptions) -> Encoder {
    Encoder::open(&model(name), options).unwrap()
}

fn cosine(left: &[f32], right: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

fn sum(values: impl IntoIterator<Item = f32>) -> f64 {
    values.into_iter().map(f64::from).sum()
}

/// Explains every pair of texts and compares each sum with the cosine of what `encode` returns.
#[track_caller]
fn assert_adds_up(what: &str, encoder: &Encoder) {
    for kind in [InputKind::Query, InputKind::Document] {
        let parts = encoder.explain(&TEXTS, kind).unwrap();
        let encodings = encoder.encode(&TEXTS, kind).unwrap();
        for (left, encoded_left) in parts.iter().zip(&encodings) {
            assert_eq!(left.vector(), encoded_left.vector, "{what}");
            for (right, encoded_right) in parts.iter().zip(&encodings) {
                let expected = cosine(&encoded_left.vector, &encoded_right.vector);
                let contributions = Contributions::of(left, right);
                let rows = (0..contributions.rows()).flat_map(|row| contributions.row(row));
                for (sum, which) in [
                    (f64::from(contributions.cosine()), "cosine"),
                    (sum(rows), "matrix"),
                    (sum(contributions.of_left()), "left"),
                    (sum(contributions.of_right()), "right"),
                ] {
                    let off = (sum - expected).abs();
                    assert!(off < TOLERANCE, "{what} {kind:?} {which}: {sum} {expected}");
                }
            }
        }
    }
}

/// A fixture whose files may be changed.
struct Copy(tempfile::TempDir);

impl Copy {
    fn of(name: &str) -> Self {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&model(name), copy.path());
        Self(copy)
    }

    fn change(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let path = self.0.path().join(file);
        let mut json = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
        change(&mut json);
        fs_err::write(&path, json.to_string()).unwrap();
    }

    fn open(&self) -> Encoder {
        Encoder::open(self.0.path(), &EncoderOptions::default()).unwrap()
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs_err::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn contributions_add_up_to_the_cosine_with_every_pooling() {
    let every = [
        "cls",
        "max",
        "mean",
        "mean_sqrt_len_tokens",
        "weightedmean",
        "lasttoken",
    ];
    let alone = every.map(|mode| vec![mode]);
    for modes in alone.into_iter().chain([vec!["cls", "mean"], every.into()]) {
        for include_prompt in [true, false] {
            let folder = Copy::of("bert-old-dialect");
            folder.change("1_Pooling/config.json", |config| {
                *config = json!({
                    "embedding_dimension": 36,
                    "pooling_mode": modes,
                    "include_prompt": include_prompt,
                });
            });
            folder.change("config_sentence_transformers.json", |config| {
                config["prompts"] = json!({"query": "rain: ", "document": "the river: "});
            });
            assert_adds_up(&modes.join("+"), &folder.open());
        }
    }
}

#[test]
fn contributions_add_up_to_the_cosine_in_every_family_and_precision() {
    for name in LINEAR {
        assert_adds_up(name, &open(name, &EncoderOptions::default()));
        let generic = EncoderOptions {
            generic: true,
            ..EncoderOptions::default()
        };
        assert_adds_up(name, &open(name, &generic));
    }
    let precise = EncoderOptions {
        precision: siamese_encoder::Precision::F32,
        ..EncoderOptions::default()
    };
    assert_adds_up("f32", &open("mpnet", &precise));
}

#[test]
fn truncated_vectors_are_explained_as_they_are() {
    for name in ["bert-old-dialect", "xlm-roberta"] {
        let short = EncoderOptions {
            dimensions: Some(7),
            ..EncoderOptions::default()
        };
        assert_adds_up(name, &open(name, &short));
    }
}

#[test]
fn a_dense_module_is_explained_when_it_is_linear_and_refused_by_name_when_it_is_not() {
    let folder = Copy::of("bert-dense-prompts");
    let refused = folder
        .open()
        .explain(&["rain"], InputKind::Query)
        .unwrap_err();
    assert!(matches!(
        refused,
        Error::NotLinear {
            activation: "tanh",
            ..
        }
    ));
    let sentence = refused.to_string();
    assert!(
        sentence.contains("applies tanh, which is not linear"),
        "{sentence}"
    );
    for module in ["2_Dense", "3_Dense"] {
        folder.change(&format!("{module}/config.json"), |config| {
            config["activation_function"] = "torch.nn.modules.linear.Identity".into();
        });
    }
    let encoder = folder.open();
    assert_adds_up("linear", &encoder);
    let parts = &encoder.explain(&["rain falls"], InputKind::Query).unwrap()[0];
    assert_eq!(parts.sources().last(), Some(&TokenSource::Bias));
}

#[test]
fn a_model_without_biases_has_no_part_for_them() {
    let encoder = open("mpnet", &EncoderOptions::default());
    let parts = &encoder.explain(&["rain"], InputKind::Query).unwrap()[0];
    assert!(!parts.sources().contains(&TokenSource::Bias));
    let special = |source: Option<&TokenSource>| source.cloned();
    let named = |name: &str| Some(TokenSource::Special(name.to_owned()));
    assert_eq!(special(parts.sources().first()), named("<s>"));
    assert_eq!(special(parts.sources().last()), named("</s>"));
}

/// What the parts of `text` add to its cosine with another text, with their sources.
fn of_sources(encoder: &Encoder, text: &str) -> Vec<(TokenSource, f32)> {
    let parts = encoder
        .explain(&[text, "The mill sings."], InputKind::Query)
        .unwrap();
    let contributions = Contributions::of(&parts[0], &parts[1]).of_left();
    parts[0]
        .sources()
        .iter()
        .cloned()
        .zip(contributions)
        .collect()
}

#[test]
fn the_tokens_of_a_prompt_count_only_where_pooling_takes_them() {
    for include_prompt in [true, false] {
        let folder = Copy::of("bert-old-dialect");
        folder.change("1_Pooling/config.json", |config| {
            *config = json!({
                "embedding_dimension": 36, "pooling_mode": "mean", "include_prompt": include_prompt,
            });
        });
        folder.change("config_sentence_transformers.json", |config| {
            config["prompts"] = json!({"query": "the river: "});
        });
        let of_sources = of_sources(&folder.open(), "rain falls");
        let of_prompt = of_sources
            .iter()
            .filter(|(source, _)| matches!(source, TokenSource::Prompt(_)));
        assert!(of_prompt.clone().count() >= 3, "{of_sources:?}");
        for (source, contribution) in of_prompt {
            assert_eq!(*contribution != 0.0, include_prompt, "{source:?}");
        }
        let first = of_sources
            .iter()
            .find(|(source, _)| matches!(source, TokenSource::Text(_)));
        assert!(matches!(first, Some((TokenSource::Text(span), _)) if span.start == 0));
    }
}

#[test]
fn with_cls_pooling_the_first_token_carries_the_whole_score() {
    let of_sources = of_sources(&open("roberta", &EncoderOptions::default()), "rain falls");
    assert!(of_sources[0].1 != 0.0);
    assert!(
        of_sources[1..]
            .iter()
            .all(|(_, contribution)| *contribution == 0.0)
    );
}

#[test]
fn every_token_stands_in_the_text_and_words_add_up_to_what_their_tokens_do() {
    for name in ["bert-old-dialect", "roberta", "mpnet", "modernbert"] {
        let encoder = open(name, &EncoderOptions::default());
        let text = "The river bends, in Köln.";
        let parts = encoder
            .explain(&[text, TEXTS[4]], InputKind::Document)
            .unwrap();
        let found = words(text, parts[0].sources());
        let shown: Vec<&str> = found.iter().map(|word| &text[word.span.clone()]).collect();
        assert_eq!(
            shown,
            ["The", "river", "bends", ",", "in", "Köln", "."],
            "{name}"
        );
        let tokens = Contributions::of(&parts[0], &parts[1]).of_left();
        let by_word = parts[0].grouped(found.iter().map(|word| word.parts.clone()));
        let by_word = Contributions::of(&by_word, &parts[1]).of_left();
        for (word, contribution) in found.iter().zip(by_word) {
            let of_tokens = sum(tokens[word.parts.clone()].iter().copied());
            assert!(
                (of_tokens - f64::from(contribution)).abs() < TOLERANCE,
                "{name}"
            );
        }
    }
}

fn pairs_of(
    left: (&str, &VectorParts),
    right: (&str, &VectorParts),
    limit: usize,
) -> Vec<(String, String)> {
    let found = [left, right].map(|(text, parts)| words(text, parts.sources()));
    let grouped = |(_, parts): (&str, &VectorParts), side: usize| {
        parts.grouped(found[side].iter().map(|word| word.parts.clone()))
    };
    let (grouped_left, grouped_right) = (grouped(left, 0), grouped(right, 1));
    let contributions = Contributions::of(&grouped_left, &grouped_right);
    let step = || Ok::<(), ()>(());
    let pairs = best_pairs(&contributions, [&found[0], &found[1]], limit, step).unwrap();
    let falling = pairs.is_sorted_by(|a, b| a.contribution >= b.contribution);
    assert!(falling && pairs.len() <= limit);
    let shown =
        |text: &str, side: usize, place: usize| text[found[side][place].span.clone()].to_owned();
    let pairs = pairs.into_iter();
    pairs
        .map(|pair| (shown(left.0, 0, pair.left), shown(right.0, 1, pair.right)))
        .collect()
}

#[test]
fn the_default_model_matches_words_that_mean_the_same() {
    let encoder = Encoder::open(siamese_tests::model_dir(), &EncoderOptions::default()).unwrap();
    let texts = [
        "The cat set off the siren, yesterday.",
        "Our pet triggered an alarm in the kitchen.",
    ];
    let parts = encoder.explain(&texts, InputKind::Document).unwrap();
    let pairs = pairs_of((texts[0], &parts[0]), (texts[1], &parts[1]), 4);
    let pair = |left: &str, right: &str| (left.to_owned(), right.to_owned());
    assert!(pairs.contains(&pair("siren", "alarm")), "{pairs:?}");
    assert!(pairs.contains(&pair("cat", "pet")), "{pairs:?}");
}
