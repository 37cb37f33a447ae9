//! The binary as a shell meets it: exit codes and where its words go.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

use std::process::{Command, Output};

fn siamese(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_siamese"))
        .args(arguments)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_api_description_goes_to_standard_output() {
    let output = siamese(&["openapi"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("/similarity:"));
}

#[test]
fn a_service_that_is_not_there_is_one_sentence_that_says_what_to_do() {
    let output = siamese(&["search", "x", "--url", "http://127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("siamese serve"),
        "{}",
        stderr(&output)
    );
    assert_eq!(stderr(&output).trim().lines().count(), 1);
}

#[test]
fn a_health_check_without_a_service_fails() {
    let output = siamese(&["healthcheck", "--listen", "127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_model_that_cannot_be_fetched_is_named() {
    let mut pull = Command::new(env!("CARGO_BIN_EXE_siamese"));
    pull.args(["model", "pull", "no/such-model"]);
    let output = pull
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no/such-model"));
    let output = siamese(&["model", "pull", "https://huggingface.co/a/b"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("no name on the Hugging Face hub"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn verifying_an_empty_folder_names_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let output = siamese(&["model", "verify", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let words = [output.stdout, output.stderr].concat();
    assert!(String::from_utf8_lossy(&words).contains("model.safetensors"));
}
