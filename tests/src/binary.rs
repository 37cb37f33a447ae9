//! The `siamese` binary and the default model, each made ready once for all tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use serde_json::Value;

/// The path of the binary.
///
/// `cargo test --workspace` has built it already, with the dependencies that the tests share. It
/// is built here only when it is missing or older than a source file. `SIAMESE_BINARY` names another
/// one, to compare two versions by the same tests.
///
/// # Panics
/// When it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| named().or_else(built_already).unwrap_or_else(build))
}

/// The binary that the environment names.
fn named() -> Option<PathBuf> {
    std::env::var_os("SIAMESE_BINARY").map(PathBuf::from)
}

/// The binary beside the folder of the running test, if it is fresh.
fn built_already() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let name = format!("siamese{}", std::env::consts::EXE_SUFFIX);
    let binary = test.parent()?.parent()?.join(name);
    let built_at = fs_err::metadata(&binary).ok()?.modified().ok()?;
    (newest_source(&workspace().join("crates"))? <= built_at).then_some(binary)
}

fn newest_source(folder: &Path) -> Option<SystemTime> {
    let times = fs_err::read_dir(folder).ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        if entry.file_name() == "tests" {
            None
        } else if entry.file_type().ok()?.is_dir() {
            newest_source(&entry.path())
        } else {
            entry.metadata().ok()?.modified().ok()
        }
    });
    times.max()
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--workspace",
        "--bin",
        "siamese",
        "--message-format=json",
    ]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command
        .current_dir(workspace())
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
///
/// # Panics
/// When neither source of the model can be reached.
pub fn model_dir() -> &'static Path {
    static MODEL: OnceLock<PathBuf> = OnceLock::new();
    MODEL.get_or_init(pull)
}

/// A model of a few kilobytes, for tests that do not look at meaning.
pub fn tiny_model_dir() -> PathBuf {
    workspace().join("crates/encoder/tests/fixtures/models/roberta")
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
