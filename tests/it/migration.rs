//! Collections that move between data folders and clusters.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use siamese_tests::{Client, Server, ServerOptions, binary};
use ureq::http::Method;

/// Where a cluster is for those tests that need one, whatever the servers of other tests have.
const QDRANT_URLS: &str = "SIAMESE_QDRANT_URLS";
/// Documents of each collection.
const DOCUMENTS: usize = 30;

fn migrate(from: &str, to: &str, prefix: &str) -> Output {
    Command::new(binary())
        .args(["migrate", "--json", "--from", from, "--to", to])
        .env("SIAMESE__STORAGE__QDRANT__PREFIX", prefix)
        .env("SIAMESE__STORAGE__QDRANT__SHARDS", "2")
        .output()
        .unwrap()
}

fn moved(from: &str, to: &str, prefix: &str) -> (Value, String) {
    let output = migrate(from, to, prefix);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    (serde_json::from_slice(&output.stdout).unwrap(), said)
}

fn refused(from: &str, to: &str) -> String {
    let output = migrate(from, to, "siamese");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn put(client: &Client, path: &str, body: &Value) {
    let body = body.to_string();
    client
        .send(Method::PUT, path, Some("application/json"), body.as_bytes())
        .ok();
}

fn note(number: usize) -> Value {
    let text = format!("The harbour opens at {number}. Boats of all sizes wait outside. ");
    json!({
        "id": format!("note-{number}"),
        "title": number.is_multiple_of(3).then(|| format!("Note {number}")),
        "text": text.repeat(1 + number % 4),
        "metadata": {"number": number, "exact": 0.1 + number as f64, "tags": ["a", null, true]},
    })
}

/// Two collections with documents of one and of several passages, an alias, and what no cluster keeps.
fn fill(folder: &Path) {
    let server = ServerOptions::tiny(folder).start();
    let client = server.client();
    let sentences = json!({"mode": "sentence", "max_tokens": 16, "overlap_tokens": 0});
    put(
        client,
        "/collections/notes",
        &json!({"chunking": sentences}),
    );
    for collection in ["default", "notes"] {
        let documents: Vec<Value> = (0..DOCUMENTS).map(note).collect();
        let path = format!("/collections/{collection}/documents");
        client.post(&path, json!({"documents": documents})).ok();
    }
    put(client, "/aliases/latest", &json!({"collection": "notes"}));
    let judgement = json!({"query": "boats", "document": "note-1", "useful": true});
    client.post("/feedback", judgement).ok();
    assert_eq!(server.terminate().code(), Some(0));
}

/// All documents with their passages and vectors, as a service with this folder exports them, ordered by id.
fn exported(folder: &Path) -> Vec<String> {
    let server = ServerOptions::tiny(folder).start();
    let url = format!("http://127.0.0.1:{}", server.port());
    let mut lines = Vec::new();
    for collection in ["default", "notes"] {
        let export = Command::new(binary())
            .args([
                "export",
                "--vectors",
                "--collection",
                collection,
                "--url",
                &url,
            ])
            .output()
            .unwrap();
        let mut documents: Vec<String> = String::from_utf8(export.stdout)
            .unwrap()
            .lines()
            .filter(|line| !line.starts_with("{\"export\":"))
            .map(str::to_owned)
            .collect();
        assert_eq!(documents.len(), DOCUMENTS + 1, "{documents:?}");
        documents.sort();
        lines.extend(documents);
    }
    lines
}

#[test]
fn a_data_folder_moves_into_another_with_everything_but_feedback_and_again_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fill(&from);
    let (report, said) = moved(text(&from), text(&to), "none");
    let collections = report["collections"].as_array().unwrap();
    assert_eq!(collections.len(), 2);
    for collection in collections {
        assert_eq!(collection["written"], DOCUMENTS);
        assert_eq!(collection["compared"], DOCUMENTS);
        assert_eq!(collection["source"], collection["target"]);
        assert_eq!(collection["differences"], json!([]));
    }
    assert_eq!(report["aliases"], 1);
    assert!(said.contains("not moved: default: 1 judgements"), "{said}");
    let (again, _) = moved(text(&from), text(&to), "none");
    for collection in again["collections"].as_array().unwrap() {
        assert_eq!(collection["written"], 0);
    }
    assert_eq!(exported(&from), exported(&to));
}

#[test]
fn a_move_says_what_is_there_that_was_not_moved() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fill(&from);
    moved(text(&from), text(&to), "none");
    let server = ServerOptions::tiny(&to).start();
    server
        .client()
        .post(
            "/documents",
            json!({"documents": [{"id": "another", "text": "was here before"}]}),
        )
        .ok();
    assert_eq!(server.terminate().code(), Some(0));
    let output = migrate(text(&from), text(&to), "none");
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        report["collections"][0]["target"]["documents"],
        DOCUMENTS + 1
    );
}

#[test]
fn places_that_cannot_be_used_are_refused_with_a_sentence_and_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (from, other) = (folder.path().join("from"), folder.path().join("other"));
    fill(&from);
    let nowhere = folder.path().join("nowhere");
    let said = refused(text(&nowhere), text(&other));
    assert!(said.contains("holds no collections"), "{said}");
    assert!(!nowhere.exists() && !other.exists());
    let said = refused(text(&from), text(&from));
    assert!(said.contains("in use"), "{said}");
    // Another encoder has made the folder.
    assert_eq!(Server::start(&other).terminate().code(), Some(0));
    let said = refused(text(&from), text(&other));
    assert!(said.contains("another encoder"), "{said}");
    let server = ServerOptions::tiny(&from).start();
    let said = refused(text(&from), text(&nowhere));
    assert!(said.contains("in use"), "{said}");
    drop(server);
}

#[test]
fn a_data_folder_moves_to_a_cluster_and_back_without_a_difference() {
    let Ok(urls) = std::env::var(QDRANT_URLS) else {
        eprintln!("SKIPPED: {QDRANT_URLS} names no cluster; tests/cluster/run.sh starts one");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (from, back) = (folder.path().join("from"), folder.path().join("back"));
    let prefix = format!("migration-{}", std::process::id());
    fill(&from);
    let said = String::from_utf8(migrate(&urls, text(&back), &prefix).stderr).unwrap();
    assert!(said.contains("holds no collections"), "{said}");
    for written in [DOCUMENTS, 0] {
        let (report, _) = moved(text(&from), &urls, &prefix);
        for collection in report["collections"].as_array().unwrap() {
            assert_eq!(collection["written"], written, "{report}");
            assert_eq!(collection["compared"], DOCUMENTS);
        }
        assert_eq!(report["aliases"], 1);
    }
    let (report, _) = moved(&urls, text(&back), &prefix);
    assert_eq!(report["collections"][1]["written"], DOCUMENTS);
    assert_eq!(report["aliases"], 1);
    assert_eq!(exported(&from), exported(&back));
}
