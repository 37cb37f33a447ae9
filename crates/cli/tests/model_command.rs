//! `siamese model` with a mirror of the hub on loopback that holds one repository.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const FILES: [&str; 7] = [
    "modules.json",
    "config.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
    "tokenizer.json",
    "model.safetensors",
];

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../encoder/tests/fixtures/models/bert-old-dialect")
}

/// What a mirror with the repository `tests/bert` answers, by path.
fn answers() -> BTreeMap<String, Vec<u8>> {
    let siblings: Vec<Value> = FILES
        .iter()
        .map(|name| json!({"rfilename": name}))
        .collect();
    let list = json!({"sha": COMMIT, "siblings": siblings}).to_string();
    let path = "/api/models/tests/bert/revision/v1?blobs=true";
    let mut answers = BTreeMap::from([(path.to_owned(), list.into_bytes())]);
    for name in FILES {
        let content = fs_err::read(fixture().join(name)).unwrap();
        answers.insert(format!("/tests/bert/resolve/{COMMIT}/{name}"), content);
    }
    answers
}

fn mirror() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answers = answers();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            answer(socket, &answers);
        }
    });
    endpoint
}

fn answer(mut socket: TcpStream, answers: &BTreeMap<String, Vec<u8>>) {
    let mut lines = BufReader::new(&socket).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let (status, body) = match answers.get(&path) {
        Some(body) => ("200 OK", &body[..]),
        None => ("404 Not Found", &b""[..]),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    drop(socket.write_all(head.as_bytes()));
    drop(socket.write_all(body));
}

fn model(models: &Path, endpoint: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_siamese"));
    command.arg("model").args(arguments);
    command
        .env("SIAMESE_MODELS_DIR", models)
        .env("HF_ENDPOINT", endpoint);
    command.output().unwrap()
}

#[track_caller]
fn stdout(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_public_model_is_pulled_listed_verified_and_mended() {
    let models = tempfile::tempdir().unwrap();
    let endpoint = mirror();
    let run = |arguments: &[&str]| model(models.path(), &endpoint, arguments);
    assert!(String::from_utf8_lossy(&run(&["list"]).stderr).contains("no model"));

    let pull = ["pull", "tests/bert", "--revision", "v1"];
    let folder = models.path().join("tests/bert");
    assert_eq!(stdout(&run(&pull)).trim(), folder.to_str().unwrap());
    let listed: Value = serde_json::from_str(&stdout(&run(&["list", "--json"]))).unwrap();
    assert_eq!(listed["models"][0]["name"], "tests/bert");
    assert_eq!(listed["models"][0]["revision"], COMMIT);
    assert!(
        stdout(&run(&["verify", "tests/bert"])).contains("all 7 files of tests/bert are intact")
    );
    let info: Value =
        serde_json::from_str(&stdout(&run(&["info", "tests/bert", "--json"]))).unwrap();
    assert_eq!(info["dimensions"], 36);

    fs_err::write(folder.join("1_Pooling/config.json"), "{}").unwrap();
    let output = run(&["verify", "tests/bert"]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        words.contains("1_Pooling/config.json has the wrong size"),
        "{words}"
    );
    stdout(&run(&pull));
    stdout(&run(&["verify", "tests/bert"]));
}

#[test]
fn a_model_is_described_as_the_service_would_run_it() {
    let models = tempfile::tempdir().unwrap();
    let path = |precision: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_siamese"));
        command.args(["model", "info", fixture().to_str().unwrap(), "--json"]);
        command.env("SIAMESE_MODELS_DIR", models.path());
        if !precision.is_empty() {
            command.env("SIAMESE__ENCODER__PRECISION", precision);
        }
        let info: Value = serde_json::from_str(&stdout(&command.output().unwrap())).unwrap();
        info["path"].as_str().unwrap().to_owned()
    };
    assert_eq!(path(""), path("int16"));
    assert!(path("f32").ends_with(" f32"), "{}", path("f32"));
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        assert_ne!(path(""), path("f32"));
    }
}
