//! The `siamese` binary and the default model, each made ready once for all tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// The path of the binary, built now if it is not fresh.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "-p",
        "siamese",
        "--bin",
        "siamese",
        "--message-format=json",
    ]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("run cargo");
    let messages = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "siamese")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo names the executable")
}

/// The default model's folder, pulled now if it is missing.
pub fn model_dir() -> &'static Path {
    static MODEL: OnceLock<PathBuf> = OnceLock::new();
    MODEL.get_or_init(pull)
}

fn pull() -> PathBuf {
    let output = Command::new(binary())
        .args(["model", "pull"])
        .output()
        .expect("run siamese");
    assert!(
        output.status.success(),
        "the tests need the default model, and `siamese model pull` could not get it:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let folder = String::from_utf8_lossy(&output.stdout)
        .trim()
        .lines()
        .last()
        .map(PathBuf::from);
    folder
        .filter(|folder| folder.is_dir())
        .expect("`model pull` prints the model's folder last")
}
