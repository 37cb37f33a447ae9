//! `siamese train`: a model learns from examples, and its folder is one like any other.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_tests::{ServerOptions, binary, tiny_model_dir};

fn train(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(["train", "--json", "--device", "cpu", "--model"]);
    command
        .arg(tiny_model_dir())
        .args(arguments)
        .current_dir(folder);
    command
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
        "0.003",
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
        "training.svg",
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

#[test]
fn a_training_that_was_killed_goes_on_and_makes_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs_err::write(folder.join("pairs.jsonl"), pairs()).unwrap();
    let arguments = |output| {
        let mut arguments = vec!["--data", "pairs.jsonl", "--output", output, "--epochs", "6"];
        arguments.extend(["--batch-size", "4", "--checkpoint-minutes", "0"]);
        arguments
    };
    report(&train(folder, &arguments("unbroken")));
    let work = folder.join("killed.training");
    let resumed = [arguments("killed"), vec!["--resume"]].concat();
    for round in 1..=3 {
        let mut killed = command(folder, &resumed)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (begun, least) = (Instant::now(), Duration::from_millis(150 * round));
        while !work.join("checkpoint.safetensors").exists() || begun.elapsed() < least {
            if killed.try_wait().unwrap().is_some() {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint");
            std::thread::sleep(Duration::from_millis(2));
        }
        killed.kill().unwrap();
        killed.wait().unwrap();
        if !work.exists() {
            // It was quicker than the kill.
            break;
        }
        assert!(!folder.join("killed").exists());
    }
    if work.exists() {
        let error = refused(&train(folder, &arguments("killed")));
        assert!(
            error.contains("go on with it (--resume), or delete it"),
            "{error}"
        );
        let other = [&resumed[..], &["--seed", "1"]].concat();
        let error = refused(&train(folder, &other));
        assert!(
            error.contains("began with another setting, seed 1"),
            "{error}"
        );
        report(&train(folder, &resumed));
    }
    assert!(!work.exists());
    let weights = |name: &str| fs_err::read(folder.join(name).join("model.safetensors")).unwrap();
    assert_eq!(weights("unbroken"), weights("killed"));
    // A folder of somebody else's is left alone.
    fs_err::create_dir(folder.join("other.training")).unwrap();
    fs_err::write(folder.join("other.training/notes.txt"), "mine").unwrap();
    let others = [arguments("other"), vec!["--resume"]].concat();
    let error = refused(&train(folder, &others));
    assert!(error.contains("it is not a training's"), "{error}");
    assert!(folder.join("other.training/notes.txt").exists());
}

#[test]
fn thin_matrices_learn_as_well_and_become_part_of_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs_err::write(folder.join("pairs.jsonl"), pairs()).unwrap();
    let mut arguments = vec![
        "--data",
        "pairs.jsonl",
        "--output",
        "made",
        "--epochs",
        "20",
    ];
    arguments.extend([
        "--batch-size",
        "8",
        "--lora-rank",
        "8",
        "--learning-rate",
        "0.02",
    ]);
    arguments.extend(["--held-out", "0.2"]);
    let report = report(&train(folder, &arguments));
    let best = report["best_epoch"].as_u64().unwrap() as usize;
    let before = report["before"]["value"].as_f64().unwrap();
    let after = report["epochs"][best - 1]["after"]["value"]
        .as_f64()
        .unwrap();
    assert!(after > before + 0.1, "{report:#}");
    let size = |folder: &Path| {
        fs_err::metadata(folder.join("model.safetensors"))
            .unwrap()
            .len()
    };
    assert_eq!(size(&folder.join("made")), size(&tiny_model_dir()));
}

fn mine(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(["train", "mine", "--data", "pairs.jsonl", "--output"]);
    command.args(arguments).current_dir(folder);
    command.output().unwrap()
}

/// The rows that were written.
fn mined(folder: &Path, name: &str) -> Vec<Value> {
    let rows = fs_err::read_to_string(folder.join(name)).unwrap();
    rows.lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}

#[test]
fn hard_negatives_are_found_among_the_pairs_and_do_not_belong_to_the_anchor() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs_err::write(folder.join("pairs.jsonl"), pairs()).unwrap();
    let model = tiny_model_dir();
    let model = model.to_str().unwrap();
    // The tiny model knows nothing of meaning: positives are not nearer than others.
    let arguments = [
        "mined.jsonl",
        "--negatives",
        "2",
        "--relative-margin",
        "0",
        "--model",
        model,
    ];
    let output = mine(folder, &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let rows = mined(folder, "mined.jsonl");
    assert_eq!(rows.len(), 96);
    let negatives = rows
        .iter()
        .filter_map(|row| row.get("negative").or(row.get("negative_1")));
    assert!(negatives.count() > 20, "{said}");
    for row in &rows {
        for name in ["negative", "negative_1", "negative_2"] {
            assert_ne!(row.get(name), Some(&row["positive"]), "{row}");
        }
    }
    assert!(refused(&mine(folder, &arguments)).contains("mined.jsonl is there already"));
    // What was written can be learned from.
    let learned = ["--data", "mined.jsonl", "--output", "made"];
    report(&train(folder, &learned));
}

#[test]
fn hard_negatives_are_found_in_a_collection_of_a_running_service() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs_err::write(folder.join("pairs.jsonl"), pairs()).unwrap();
    let server = ServerOptions::tiny(&folder.join("data")).start();
    let mut texts: Vec<String> = (0..40).map(|n| format!("something else {n}")).collect();
    texts.push("grinds flour".to_owned());
    let documents: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| json!({"id": format!("d{n}"), "text": text}))
        .collect();
    let body = json!({ "documents": documents });
    server.client().post("/documents", body).ok();
    let url = format!("http://127.0.0.1:{}", server.port());
    let mut arguments = vec!["mined.jsonl", "--collection", "default", "--url", &url];
    arguments.extend(["--negatives", "2", "--relative-margin", "0"]);
    let output = mine(folder, &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let rows = mined(folder, "mined.jsonl");
    assert_eq!(rows.len(), 96);
    let mut found = 0;
    for row in &rows {
        for name in ["negative", "negative_1", "negative_2"] {
            let Some(negative) = row.get(name).and_then(Value::as_str) else {
                continue;
            };
            found += 1;
            assert!(texts.iter().any(|text| text == negative), "{row}");
            assert_ne!(Some(negative), row["positive"].as_str(), "{row}");
        }
    }
    assert!(found > 20, "{said}");
    arguments[0] = "other.jsonl";
    arguments[2] = "nothing";
    let said = refused(&mine(folder, &arguments));
    assert!(said.contains("nothing"), "{said}");
    assert!(!folder.join("other.jsonl").exists());
}
