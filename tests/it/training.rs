//! `siamese train`: a model learns from examples, and its folder is one like any other.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use siamese_tests::{binary, tiny_model_dir};

fn train(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(["train", "--json", "--device", "cpu", "--model"]);
    command
        .arg(tiny_model_dir())
        .args(arguments)
        .current_dir(folder);
    command.output().unwrap()
}

fn report(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Anchors and positives that have nothing in common but what they are about.
fn pairs() -> String {
    let subjects = [
        "mill", "roof", "budget", "valley", "garden", "bridge", "train", "winter",
    ];
    let about = [
        "grinds flour",
        "keeps rain out",
        "is counted in coins",
        "lies between hills",
        "grows roses",
        "crosses water",
        "runs on rails",
        "brings snow",
    ];
    let mut pairs = String::new();
    for round in 0..12 {
        for (subject, about) in subjects.iter().zip(about) {
            let pair = serde_json::json!({
                "anchor": format!("{subject} number {round}"),
                "positive": about,
                "label": subject,
            });
            pairs.push_str(&format!("{pair}\n"));
        }
    }
    pairs
}

#[test]
fn a_model_learns_and_its_folder_opens_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs_err::write(folder.join("pairs.jsonl"), pairs()).unwrap();
    // A folder of somebody else's, beside the one that is made.
    let other = folder.join("made/ours.best");
    fs_err::create_dir_all(&other).unwrap();
    let arguments = [
        "--data",
        "pairs.jsonl",
        "--output",
        "made/ours",
        "--epochs",
        "20",
        "--batch-size",
        "8",
        "--learning-rate",
        "0.005",
        "--held-out",
        "0.2",
    ];
    let report = report(&train(folder, &arguments));
    let before = report["before"]["accuracy_at_1"].as_f64().unwrap();
    let best = report["best_epoch"].as_u64().unwrap() as usize;
    let after = report["epochs"][best - 1]["after"]["accuracy_at_1"]
        .as_f64()
        .unwrap();
    assert!(before < 0.6 && after > 0.9, "{report:#}");
    let made = folder.join("made/ours");
    for file in [
        "modules.json",
        "tokenizer.json",
        "model.safetensors",
        "README.md",
        "training.json",
    ] {
        assert!(made.join(file).exists(), "{file}");
    }
    let left: Vec<_> = fs_err::read_dir(folder.join("made")).unwrap().collect();
    assert!(left.len() == 2 && other.exists(), "{left:?}");

    // What it has learned is in its vectors.
    let margin =
        |model: &Path| score(folder, model, "grinds flour") - score(folder, model, "grows roses");
    let (untrained, trained) = (margin(&tiny_model_dir()), margin(&made));
    assert!(
        trained > untrained + 0.1 && trained > 0.1,
        "{untrained} {trained}"
    );
}

/// How alike a model takes a new anchor and a text to be, 0 where that is less than 0.001.
fn score(folder: &Path, model: &Path, text: &str) -> f64 {
    let lines = ["mill number 99", text].map(|text| format!("{{\"text\": \"{text}\"}}\n"));
    fs_err::write(folder.join("two.jsonl"), lines.concat()).unwrap();
    let mut command = Command::new(binary());
    command.args(["dedup", "two.jsonl", "--json", "--min-score", "0.001"]);
    command.arg("--model").arg(model).current_dir(folder);
    let output = command.output().unwrap();
    let pairs = String::from_utf8_lossy(&output.stdout).into_owned();
    pairs.lines().next().map_or(0.0, |line| {
        let pair: Value = serde_json::from_str(line).unwrap();
        pair["score"].as_f64().unwrap()
    })
}

#[test]
fn the_same_seed_makes_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs_err::write(folder.join("pairs.jsonl"), pairs()).unwrap();
    let weights = |output: &str, seed: &str| {
        let arguments = [
            "--data",
            "pairs.jsonl",
            "--output",
            output,
            "--seed",
            seed,
            "--learning-rate",
            "0.001",
        ];
        report(&train(folder, &arguments));
        fs_err::read(folder.join(output).join("model.safetensors")).unwrap()
    };
    assert_eq!(weights("one", "1"), weights("again", "1"));
    assert_ne!(weights("other", "2"), weights("more", "1"));
}

#[test]
fn what_cannot_be_learned_from_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = |name: &str, content: &str| fs_err::write(folder.join(name), content).unwrap();
    write("few.jsonl", "{\"anchor\": \"a\", \"positive\": \"b\"}\n");
    write("bad.csv", "anchor,positive\na,b\nc,\n");
    write("scores.csv", "sentence1,sentence2,score\na,b,0.5\n");
    write("pairs.jsonl", &pairs());
    fs_err::create_dir(folder.join("there")).unwrap();
    for (arguments, reason) in [
        (
            ["--data", "few.jsonl", "--output", "made"],
            "at least 5 and 2 are needed",
        ),
        (
            ["--data", "bad.csv", "--output", "made"],
            "bad.csv:3: positive is empty",
        ),
        (["--data", "none.jsonl", "--output", "made"], "none.jsonl"),
        (
            ["--data", "pairs.jsonl", "--output", "there"],
            "there is there already",
        ),
    ] {
        let error = refused(&train(folder, &arguments));
        assert!(error.contains(reason), "{error}");
    }
    let wrong_loss = [
        "--data",
        "scores.csv",
        "--output",
        "made",
        "--loss",
        "triplet",
    ];
    let error = refused(&train(folder, &wrong_loss));
    assert!(
        error.contains("the loss triplet cannot be computed of these columns"),
        "{error}"
    );
    let no_loss = [
        "--data",
        "scores.csv",
        "--output",
        "made",
        "--loss",
        "hinge",
    ];
    assert!(refused(&train(folder, &no_loss)).contains("it may be multiple-negatives, triplet"));
    let rate = [
        "--data",
        "pairs.jsonl",
        "--output",
        "made",
        "--learning-rate",
        "2",
    ];
    assert!(refused(&train(folder, &rate)).contains("the learning rate may be above 0, to 1"));
    assert!(!folder.join("made").exists());
}
