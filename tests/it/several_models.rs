//! Several models in one service, and collections that name theirs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use siamese_tests::{Client, ServerOptions, tiny_model_dir};
use ureq::http::Method;

fn fixture(model: &str) -> PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR"));
    models
        .join("../crates/encoder/tests/fixtures/models")
        .join(model)
}

/// The default encoder has vectors of 36 values, `dense` has vectors of 20.
fn with_dense(folder: &Path) -> ServerOptions {
    let dense = fixture("bert-dense-prompts");
    ServerOptions::tiny(folder).setting("ENCODERS__DENSE__MODEL", dense.display())
}

fn put(client: &Client, collection: &str, settings: &Value) -> siamese_tests::Answer {
    client.send(
        Method::PUT,
        &format!("/collections/{collection}"),
        Some("application/json"),
        settings.to_string().as_bytes(),
    )
}

fn fill(client: &Client, collection: &str) {
    let documents = json!({"documents": [
        {"id": "cat", "text": "A cat sleeps on the sofa."},
        {"id": "dog", "text": "A dog barks at the door."},
    ]});
    client
        .post(&format!("/collections/{collection}/documents"), documents)
        .ok();
}

fn model(client: &Client, name: &str, kind: &str) -> Value {
    let models = client.get("/models").ok();
    let models = models["data"].as_array().unwrap();
    let found = models
        .iter()
        .find(|model| model["name"] == name && model["kind"] == kind);
    found.unwrap().clone()
}

fn dimensions(vector: &Value) -> usize {
    vector.as_array().unwrap().len()
}

#[test]
fn two_collections_of_different_encoders_serve_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_dense(folder.path()).start();
    let client = server.client();
    assert_eq!(model(client, "dense", "encoder")["open"], false);
    let made = put(client, "small", &json!({"encoder": "dense"}));
    assert_eq!(made.status, 201);
    for (collection, values) in [("default", 36), ("small", 20)] {
        fill(client, collection);
        let path = format!("/collections/{collection}");
        assert_eq!(client.get(&path).ok()["encoder"]["dimensions"], values);
        let document = client
            .get(&format!("{path}/documents/cat?include=vectors"))
            .ok();
        assert_eq!(dimensions(&document["passages"][0]["vector"]), values);
        let search = json!({"query": "A cat sleeps on the sofa.", "top_k": 1});
        let found = client.post(&format!("{path}/search"), search).ok();
        assert_eq!(found["hits"][0]["id"], "cat");
        let pair = json!({"pairs": [[{"id": "cat"}, "A cat sleeps on the sofa."]]});
        let score = client.post(&format!("{path}/similarity"), pair).ok()["scores"][0].clone();
        assert!(score.as_f64().unwrap() > 0.5, "{score}");
        let head = client.get(&format!("{path}/export")).text;
        assert!(head.contains(&format!("\"dimensions\":{values}")), "{head}");
    }
    let dense = model(client, "dense", "encoder");
    assert_eq!(
        (&dense["open"], &dense["dimensions"]),
        (&json!(true), &json!(20))
    );
    assert!(dense["bytes"].as_u64().unwrap() > 1000 && dense["path"].is_string());
    let id = &client.get("/collections/small").ok()["encoder"]["encoder_id"];
    assert_eq!(*id, dense["encoder_id"]);
}

#[test]
fn requests_choose_an_encoder_by_model_and_an_unknown_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_dense(folder.path()).start();
    let client = server.client();
    let default = client.get("/encoder").ok()["model"].clone();
    for (name, values) in [
        (json!("dense"), 20),
        (json!("default"), 36),
        (default, 36),
        (Value::Null, 36),
    ] {
        let body = json!({"input": "a cat", "model": name});
        let answer = client.post("/v1/embeddings", body).ok();
        assert_eq!(
            dimensions(&answer["data"][0]["embedding"]),
            values,
            "{name}"
        );
        let answer = client
            .post("/embed", json!({"inputs": "a cat", "model": name}))
            .ok();
        assert_eq!(dimensions(&answer[0]), values, "{name}");
    }
    for (path, body) in [
        ("/v1/embeddings", json!({"input": "a", "model": "large"})),
        ("/embed", json!({"inputs": "a", "model": "large"})),
        (
            "/similarity",
            json!({"pairs": [["a", "b"]], "model": "large"}),
        ),
    ] {
        let problem = client.post(path, body).problem(404, "model_not_found");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("large") && detail.contains("dense"),
            "{detail}"
        );
    }
    let problem = put(client, "x", &json!({"encoder": "large"})).problem(422, "invalid_request");
    assert_eq!(problem["pointer"], "/encoder");
    fill(client, "default");
    let mixed = json!({"pairs": [[{"id": "cat"}, "a cat"]], "model": "dense"});
    let problem = client
        .post("/similarity", mixed)
        .problem(422, "invalid_request");
    assert_eq!(problem["pointer"], "/model");
}

#[test]
fn a_folder_starts_without_one_of_its_encoders_and_serves_the_other_collections() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_dense(folder.path()).start();
    put(server.client(), "small", &json!({"encoder": "dense"}));
    fill(server.client(), "default");
    fill(server.client(), "small");
    let id = server.client().get("/collections/small").ok()["encoder"]["encoder_id"].clone();
    server.terminate();

    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    let search = |mode: &str| json!({"query": "cat", "mode": mode});
    client.post("/search", search("semantic")).ok();
    let new = json!({"documents": [{"id": "new", "text": "A bird."}]});
    for (path, body) in [
        ("/collections/small/search", search("semantic")),
        ("/collections/small/documents", new),
    ] {
        let problem = client.post(path, body).problem(503, "model_unavailable");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(id.as_str().unwrap()) && detail.contains("small"),
            "{detail}"
        );
    }
    let by_words = client
        .post("/collections/small/search", search("lexical"))
        .ok();
    assert_eq!(by_words["hits"][0]["id"], "cat");
    let alike = client
        .post("/collections/small/search", json!({"id": "cat"}))
        .ok();
    assert_eq!(alike["hits"][0]["id"], "dog");
    assert_eq!(
        client.get("/collections/small/documents/cat").ok()["id"],
        "cat"
    );
    put(client, "small", &json!({})).problem(409, "conflict");
    server.terminate();

    // Under another name it is the same encoder.
    let dense = fixture("bert-dense-prompts");
    let options =
        ServerOptions::tiny(folder.path()).setting("ENCODERS__RENAMED__MODEL", dense.display());
    let server = options.start();
    let found = server
        .client()
        .post("/collections/small/search", search("semantic"))
        .ok();
    assert_eq!(found["hits"].as_array().unwrap().len(), 2);
}

#[test]
fn the_default_encoder_is_changed_and_what_it_made_is_served_by_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    fill(server.client(), "default");
    server.terminate();
    let old = tiny_model_dir();
    let options = ServerOptions::new(folder.path()).model(&fixture("bert-dense-prompts"));
    let server = options
        .setting("ENCODERS__OLD__MODEL", old.display())
        .start();
    let client = server.client();
    let search = json!({"query": "A dog barks at the door.", "top_k": 1});
    assert_eq!(client.post("/search", search).ok()["hits"][0]["id"], "dog");
    assert_eq!(
        client.get("/collections/default").ok()["encoder"]["dimensions"],
        36
    );
    assert_eq!(put(client, "new", &json!({})).status, 201);
    assert_eq!(
        client.get("/collections/new").ok()["encoder"]["dimensions"],
        20
    );
}

#[test]
fn a_model_that_needs_room_makes_the_one_leave_that_was_used_before_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let bytes_of = |folder: &Path| {
        let weights = folder.join("model.safetensors");
        fs_err::metadata(weights).unwrap().len()
    };
    let [dense, roberta, mpnet] = ["bert-dense-prompts", "roberta", "mpnet"];
    let sizes = [dense, roberta, mpnet].map(|name| bytes_of(&fixture(name)));
    let room = sizes.into_iter().max().unwrap() * 2;
    let server = with_dense(folder.path())
        .setting("ENCODERS__ROBERTA__MODEL", fixture(roberta).display())
        .setting("ENCODERS__MPNET__MODEL", fixture(mpnet).display())
        .setting(
            "MODELS__MAX_MEMORY_BYTES",
            bytes_of(&tiny_model_dir()) + room,
        )
        .start();
    let client = server.client();
    let is_open = |name: &str| model(client, name, "encoder")["open"] == true;
    for (name, left) in [
        ("dense", None),
        ("roberta", None),
        ("mpnet", Some("dense")),
        ("dense", Some("roberta")),
    ] {
        client
            .post("/embed", json!({"inputs": "a", "model": name}))
            .ok();
        assert!(is_open(name) && is_open("default"));
        assert!(
            left.is_none_or(|left| !is_open(left)),
            "{left:?} is still open"
        );
    }
}

#[test]
fn a_model_that_cannot_be_opened_is_named_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("model");
    let server = ServerOptions::tiny(&folder.path().join("data"))
        .setting("ENCODERS__LATE__MODEL", place.display())
        .start();
    let client = server.client();
    let embed = || client.post("/embed", json!({"inputs": "a", "model": "late"}));
    let problem = embed().problem(503, "model_unavailable");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("late") && detail.contains(place.to_str().unwrap()),
        "{detail}"
    );
    assert!(model(client, "late", "encoder")["last_error"].is_string());
    client.post("/embed", json!({"inputs": "a"})).ok();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(fixture("roberta"))
        .arg(&place)
        .status();
    assert!(copied.unwrap().success());
    // It is not tried again at once.
    let tries = (0..100).map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        embed().status
    });
    assert_eq!(tries.into_iter().find(|status| *status == 200), Some(200));
}
