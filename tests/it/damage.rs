//! A damaged data folder, as its owner meets it: one sentence that names the folder and a command.
//! `crates/index/tests/damage.rs` damages every file in every way.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use siamese_tests::{Server, ServerOptions, binary};

use crate::startup::one_sentence;

fn write(data: &Path, ids: &[&str]) {
    let server = Server::start(data);
    let document = |id: &&str| json!({"id": id, "text": format!("the text of {id}")});
    let documents: Vec<_> = ids.iter().map(document).collect();
    server
        .client()
        .post("/documents", json!({"documents": documents}))
        .ok();
    assert!(server.terminate().success());
}

fn in_store(data: &Path, prefix: &str) -> PathBuf {
    let entries = fs_err::read_dir(data.join("store")).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with(prefix)
    };
    paths.find(is_it).unwrap()
}

#[test]
fn a_damaged_record_is_refused_with_the_command_that_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write(&data, &["a", "b", "c"]);
    let name = data.to_str().unwrap().to_owned();
    let words = [name.as_str(), "`siamese snapshot restore`"];
    let refused = || one_sentence(ServerOptions::new(&data), &words);
    for file in ["db", "snap."] {
        let path = in_store(&data, file);
        let whole = fs_err::read(&path).unwrap();
        fs_err::write(&path, &whole[..whole.len() / 3]).unwrap();
        refused();
        fs_err::write(&path, &whole).unwrap();
    }
    let db = in_store(&data, "db");
    fs_err::remove_file(&db).unwrap();
    refused();
}

#[test]
fn lost_writes_are_told_and_given_up_by_command() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write(&data, &["early"]);
    let before = fs_err::read(in_store(&data, "db")).unwrap();
    write(&data, &["late"]);
    fs_err::write(in_store(&data, "db"), &before).unwrap();
    // It would tell of segments of the log that are gone.
    fs_err::remove_file(in_store(&data, "snap.")).unwrap();
    let name = data.to_str().unwrap().to_owned();
    let words = [name.as_str(), "acknowledged", "siamese accept-loss --data"];
    one_sentence(ServerOptions::new(&data), &words);

    let output = Command::new(binary())
        .args(["accept-loss", "--data", &name])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && told.contains("given up"),
        "{output:?}"
    );
    let server = Server::start(&data);
    server.client().get("/documents/early").ok();
    server
        .client()
        .get("/documents/late")
        .problem(404, "document_not_found");
    server
        .client()
        .post("/documents", json!({"documents": [{"text": "x"}]}))
        .ok();
}
