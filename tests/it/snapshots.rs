//! Snapshots, exports and compaction as people use them: over HTTP and by commands.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use siamese_tests::{Client, Server, ServerOptions, binary};
use ureq::http::Method;

fn siamese(arguments: &[&str]) -> Output {
    let output = Command::new(binary()).args(arguments).output();
    output.expect("run siamese")
}

#[track_caller]
fn succeeds(arguments: &[&str]) -> String {
    let output = siamese(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail with one sentence that has these words.
#[track_caller]
fn fails(arguments: &[&str], words: &[&str]) {
    let output = siamese(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let errors = stderr.lines().filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in {stderr}");
    }
}

fn url(server: &Server) -> String {
    format!("http://127.0.0.1:{}", server.port())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Two collections with settings of their own, and a document that changed.
fn fill(client: &Client) {
    let settings = json!({
        "chunking": {"mode": "fixed", "max_tokens": 20, "overlap_tokens": 2},
        "index": {"m": 8, "ef_search": 32}
    });
    let put = client.send(
        Method::PUT,
        "/collections/notes",
        Some("application/json"),
        settings.to_string().as_bytes(),
    );
    put.ok();
    for prefix in ["", "/collections/notes"] {
        let documents: Vec<_> = (0..12)
            .map(|n| {
                json!({
                    "id": format!("d{n}"), "title": "A title",
                    "text": format!("The number {n} is written here. ").repeat(1 + n),
                    "metadata": {"n": n, "tags": ["a", null]}
                })
            })
            .collect();
        let path = format!("{prefix}/documents");
        client.post(&path, json!({ "documents": documents })).ok();
        let again = json!({"documents": [{"id": "d3", "text": "Something else."}]});
        client.post(&path, again).ok();
        client.delete(&format!("{prefix}/documents/d5")).ok();
    }
}

/// Everything that two services must answer alike.
fn answers(client: &Client) -> Vec<Value> {
    let mut answers = Vec::new();
    for prefix in ["", "/collections/notes"] {
        for n in 0..12 {
            let path = format!("{prefix}/documents/d{n}?include=vectors");
            answers.push(client.get(&path).json()["passages"].clone());
        }
        answers.push(client.get(&format!("{prefix}/documents?include=text")).ok());
        let search = json!({"query": "which number is it?", "top_k": 12, "exact": true});
        answers.push(client.post(&format!("{prefix}/search"), search).ok()["hits"].clone());
        let search = json!({"query": "which number is it?", "top_k": 12, "mode": "lexical"});
        answers.push(client.post(&format!("{prefix}/search"), search).ok()["hits"].clone());
    }
    for name in ["default", "notes"] {
        let mut collection = client.get(&format!("/collections/{name}")).ok();
        for of_the_moment in [
            "segments",
            "segment_bytes",
            "head_passages",
            "dead_passages",
            "lexical_segments",
            "lexical_bytes",
            "lexical_head_passages",
        ] {
            collection["index"][of_the_moment].take();
        }
        answers.push(collection);
    }
    answers
}

#[test]
fn a_restored_snapshot_answers_as_the_service_it_was_taken_from() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let (client, url) = (server.client(), url(&server));
    fill(client);
    let expected = answers(client);

    let created = client.send(Method::POST, "/snapshots", Some("application/json"), b"");
    assert_eq!(created.status, 201, "{}", created.text);
    let created = created.json();
    assert_eq!(created["contents"]["documents"], 22);
    assert_eq!(created["contents"]["collections"][1]["name"], "notes");
    let encoder = client.get("/encoder").ok();
    assert_eq!(created["contents"]["encoder"]["id"], encoder["encoder_id"]);
    client.delete("/collections/notes").ok();
    assert_eq!(client.get("/snapshots").ok()["snapshots"], json!([created]));

    let name = created["name"].as_str().unwrap();
    let head = client.send(Method::HEAD, &format!("/snapshots/{name}"), None, b"");
    assert_eq!(
        head.headers["content-length"].to_str().unwrap(),
        created["bytes"].to_string()
    );
    let file = folder.path().join("copy.snapshot");
    succeeds(&["snapshot", "download", name, text(&file), "--url", &url]);
    assert_eq!(
        fs_err::metadata(&file).unwrap().len(),
        created["bytes"].as_u64().unwrap()
    );
    assert!(succeeds(&["snapshot", "verify", text(&file)]).contains("22 documents"));
    let contents = succeeds(&["snapshot", "verify", text(&file), "--json"]);
    let contents: Value = serde_json::from_str(&contents).unwrap();
    assert_eq!(contents, created["contents"]);
    assert_eq!(server.terminate().code(), Some(0));

    let restored = folder.path().join("restored");
    succeeds(&[
        "snapshot",
        "restore",
        text(&file),
        "--data",
        text(&restored),
    ]);
    let server = Server::start(&restored);
    assert_eq!(answers(server.client()), expected);
    fails(
        &[
            "snapshot",
            "restore",
            text(&file),
            "--data",
            text(&restored),
        ],
        &["not empty"],
    );
}

#[test]
fn snapshots_are_managed_by_commands_and_refused_with_problem_documents() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServerOptions::new(folder.path()).setting("STORAGE__MAX_SNAPSHOTS", 2);
    let server = options.start();
    let (client, url) = (server.client(), url(&server));
    let create = ["snapshot", "create", "--url", &url];
    let name = succeeds(&create)
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    succeeds(&create);
    fails(&create, &["storage.max_snapshots = 2", "conflict"]);
    let answer = succeeds(&["snapshot", "list", "--json", "--url", &url]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(answer["snapshots"].is_array(), "{answer}");
    let list = succeeds(&["snapshot", "list", "--url", &url]);
    assert_eq!(list.lines().count(), 2, "{list}");
    let damaged = folder.path().join("snapshots").join(&name);
    fs_err::write(&damaged, "nothing of the kind").unwrap();
    let list = succeeds(&["snapshot", "list", "--url", &url]);
    assert!(list.contains("DAMAGED") && list.contains(&name), "{list}");
    let file = folder.path().join("copy");
    let download = ["snapshot", "download", &name, text(&file), "--url", &url];
    fails(&download, &["cannot be used"]);
    assert!(!file.exists());
    succeeds(&["snapshot", "delete", &name, "--url", &url]);
    fails(
        &["snapshot", "delete", &name, "--url", &url],
        &["snapshot_not_found"],
    );
    for name in [
        name.as_str(),
        "..%2Fsiamese.data",
        "%2e%2e%2fsiamese.data",
        "..%2F..%2Fetc%2Fpasswd",
        "siamese.lock",
    ] {
        let path = format!("/snapshots/{name}");
        client.get(&path).problem(404, "snapshot_not_found");
        client.delete(&path).problem(404, "snapshot_not_found");
    }
}

#[test]
fn one_snapshot_is_taken_at_a_time_and_writes_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServerOptions::new(folder.path()).setting("STORAGE__MAX_SNAPSHOTS", 100);
    let server = options.start();
    let client = server.client();
    fill(client);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..20 {
                let documents = json!({"documents": [{"id": "w", "text": format!("write {n}")}]});
                client.post("/documents", documents).ok();
            }
        });
        let creators: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    client.send(Method::POST, "/snapshots", Some("application/json"), b"")
                })
            })
            .collect();
        writer.join().unwrap();
        let answers = creators.into_iter().map(|creator| creator.join().unwrap());
        answers
            .map(|answer| {
                if answer.status != 201 {
                    answer.problem(409, "conflict");
                }
                answer.status
            })
            .collect()
    });
    let created = statuses.iter().filter(|status| **status == 201).count();
    assert!(created > 0, "{statuses:?}");
    let list = client.get("/snapshots").ok();
    assert_eq!(list["snapshots"].as_array().unwrap().len(), created);
}

#[test]
fn a_snapshot_without_room_is_refused_as_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Server::start(folder.path()).terminate().code(), Some(0));
    let options = ServerOptions::new(folder.path());
    let server = options
        .setting("STORAGE__MIN_FREE_DISK_BYTES", 1_u64 << 60)
        .start();
    let refused = server
        .client()
        .send(Method::POST, "/snapshots", Some("application/json"), b"");
    refused.problem(507, "storage_full");
}

fn export(url: &str, folder: &Path, arguments: &[&str]) -> PathBuf {
    let file = folder.join(format!("export{}.jsonl", arguments.join("")));
    let own = ["export", "--url", url, "--output", text(&file)];
    succeeds(&[&own[..], arguments].concat());
    file
}

#[test]
fn an_export_with_vectors_is_imported_without_encoding_and_without_them_by_a_service() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let client = server.client();
    fill(client);
    let expected = answers(client);
    let of = |collection| ["--collection", collection, "--vectors"];
    let exports = ["default", "notes"].map(|name| export(&url(&server), folder.path(), &of(name)));
    let plain = export(&url(&server), folder.path(), &[]);
    let lines = fs_err::read_to_string(&exports[0]).unwrap();
    assert_eq!(lines.lines().count(), 1 + 11 + 1);
    let document: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
    assert_eq!(
        document["passages"][0]["vector"].as_array().unwrap().len(),
        384
    );
    assert!(
        !fs_err::read_to_string(&plain)
            .unwrap()
            .contains("\"vector\"")
    );

    let imported = folder.path().join("imported");
    for file in &exports {
        let stored = succeeds(&["import", text(file), "--data", text(&imported)]);
        assert!(stored.contains("11 documents stored"), "{stored}");
        // Again: what is there is replaced by the same.
        let again = succeeds(&["import", text(file), "--data", text(&imported), "--json"]);
        let again: Value = serde_json::from_str(&again).unwrap();
        assert_eq!(again, json!({"stored": 11, "failed": 0}));
    }
    fails(
        &["import", text(&plain), "--data", text(&imported)],
        &["no vectors"],
    );
    let other = Server::start(&imported);
    let mut actual = answers(other.client());
    let (mut expected, collections) = (expected, 2);
    // A collection is as old as the folder it is in.
    for answers in [&mut actual, &mut expected] {
        let first = answers.len() - collections;
        for collection in &mut answers[first..] {
            collection["created_at"].take();
        }
    }
    assert_eq!(actual, expected);

    other.client().delete("/collections/default").ok();
    let output = siamese(&["import", text(&plain), "--url", &url(&other)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("encoded again"),
        "{said}"
    );
    assert_eq!(
        other.client().get("/collections/default").ok()["documents"],
        11
    );
}

#[test]
fn an_import_of_another_encoder_or_of_half_an_export_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    fill(server.client());
    let whole = export(&url(&server), folder.path(), &["--vectors"]);
    let imported = folder.path().join("imported");
    let lines = fs_err::read_to_string(&whole).unwrap();
    let half = folder.path().join("half.jsonl");
    let cut = lines.lines().take(5).collect::<Vec<_>>().join("\n");
    fs_err::write(&half, cut).unwrap();
    fails(
        &["import", text(&half), "--data", text(&imported)],
        &["ends early"],
    );
    succeeds(&["import", text(&whole), "--data", text(&imported)]);
    let encoder = server.client().get("/encoder").ok();
    let id = encoder["encoder_id"].as_str().unwrap();
    let other = folder.path().join("other.jsonl");
    fs_err::write(&other, lines.replacen(id, "another", 1)).unwrap();
    fails(
        &["import", text(&other), "--data", text(&imported)],
        &["into a running service", "another"],
    );
    // Names and settings that the service would not take, from a file that somebody has changed.
    let fresh = folder.path().join("fresh");
    for (from, to, word) in [
        (
            r#""collection":"default""#,
            r#""collection":"../x""#,
            "letters",
        ),
        (
            r#""overlap_tokens":16"#,
            r#""overlap_tokens":100"#,
            "overlap_tokens",
        ),
        (r#""m":16"#, r#""m":1"#, "m is 1"),
    ] {
        let changed = lines.replacen(from, to, 1);
        assert_ne!(changed, lines, "{from} is not there");
        fs_err::write(&other, changed).unwrap();
        fails(&["import", text(&other), "--data", text(&fresh)], &[word]);
    }
    let data = folder.path().join("data");
    fails(
        &["import", text(&whole), "--data", text(&data)],
        &["in use"],
    );
}

#[test]
fn a_folder_is_compacted_while_no_service_runs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    fill(server.client());
    let expected = answers(server.client());
    let compact = ["compact", "--data", text(folder.path())];
    fails(&compact, &["in use"]);
    assert_eq!(server.terminate().code(), Some(0));
    assert!(succeeds(&compact).contains("entries"));
    let figures = succeeds(&[&compact[..], &["--json"]].concat());
    let figures: Value = serde_json::from_str(&figures).unwrap();
    assert!(figures["live_bytes"].as_u64() <= figures["after_bytes"].as_u64());
    let server = Server::start(folder.path());
    assert_eq!(answers(server.client()), expected);
    fails(
        &["compact", "--data", "no/such/folder"],
        &["no data folder"],
    );
}
