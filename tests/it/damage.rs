//! A damaged data folder, as its owner meets it: one sentence that names the folder and a command.
//! `crates/index/tests/damage.rs` damages every file in every way.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use siamese_tests::{Answer, Server, ServerOptions, binary};

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

/// Changes every place of a file where `text` stands; how many there were.
fn change_everywhere(file: &Path, text: &[u8]) -> usize {
    let mut bytes = fs_err::read(file).unwrap();
    let places: Vec<usize> = (0..bytes.len() - text.len())
        .filter(|place| bytes[*place..].starts_with(text))
        .collect();
    places.iter().for_each(|place| bytes[*place] ^= 1);
    fs_err::write(file, bytes).unwrap();
    places.len()
}

#[test]
fn damage_that_loading_does_not_meet_is_found_while_reads_are_answered_and_ends_writing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let options = || ServerOptions::tiny(&data);
    let server = options().start();
    // As many as need pages of their own for each kind of entry.
    for part in 0..8 {
        let document =
            |n: usize| json!({"id": format!("document-{n:05}"), "text": format!("t {n}")});
        let documents: Vec<_> = (part * 500..(part + 1) * 500).map(document).collect();
        let body = json!({"documents": documents});
        server.client().post("/documents", body).ok();
    }
    assert!(server.terminate().success());
    // Now the store knows where everything stands in its log, and does not read it in a row.
    assert!(options().start().terminate().success());
    assert!(change_everywhere(&in_store(&data, "db"), b"document-03210") > 0);

    let server = options().start_loading();
    let client = server.client();
    let deadline = Instant::now() + Duration::from_secs(60);
    let probe = loop {
        let answer = client.try_get("/readyz");
        let is_found = |answer: &Answer| answer.text.contains("storage_damaged");
        if let Some(answer) = answer.filter(is_found) {
            break answer;
        }
        assert!(Instant::now() < deadline, "the damage is never found");
        std::thread::sleep(Duration::from_millis(20));
    };
    probe.problem(503, "not_ready");
    client.get("/documents/document-00007").ok();
    let body = json!({"documents": [{"id": "new", "text": "x"}]});
    client
        .post("/documents", body)
        .problem(500, "storage_failed");
    client
        .post("/snapshots", json!({}))
        .problem(500, "storage_failed");
    let metrics = client.get("/metrics").text;
    assert!(metrics.contains("siamese_condition{condition=\"storage_damaged\"} 1"));
    server.terminate();
    let words = [data.to_str().unwrap(), "`siamese snapshot restore`"];
    one_sentence(options(), &words);
    let first = || options().setting("STORAGE__CHECK_BEFORE_SERVING", true);
    one_sentence(first(), &words);
}

#[test]
fn a_probe_says_when_everything_that_is_stored_has_been_compared() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write(&data, &["a", "b", "c"]);
    let server = ServerOptions::new(&data).start();
    let deadline = Instant::now() + Duration::from_secs(60);
    while server.client().get("/readyz").ok()["record"] != "checked" {
        assert!(Instant::now() < deadline, "it is never compared");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(server.terminate().success());
    let options = ServerOptions::new(&data);
    let server = options
        .setting("STORAGE__CHECK_BEFORE_SERVING", true)
        .start();
    assert_eq!(server.client().get("/readyz").ok()["record"], "checked");
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
