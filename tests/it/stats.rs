//! What the service says of how much there is.

use std::process::Command;

use serde_json::{Value, json};
use siamese_tests::{Server, ServerOptions, binary};
use ureq::http::Method;

fn store(server: &Server, collection: &str, ids: &[&str]) {
    let text = "a lamp that blinks at night";
    let documents = ids
        .iter()
        .map(|id| json!({ "id": id, "text": text, "metadata": { "colour": "red" } }));
    let documents: Vec<Value> = documents.collect();
    let path = format!("/collections/{collection}/documents");
    server
        .client()
        .post(&path, json!({ "documents": documents }))
        .ok();
}

#[test]
fn statistics_count_documents_memory_queue_models_and_caches() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    client
        .ask(Method::PUT, "/collections/other", &[], json!({}))
        .ok();
    store(&server, "default", &["a", "b"]);
    store(&server, "other", &["a"]);
    for _ in 0..3 {
        client.post("/search", json!({ "query": "a lamp" })).ok();
    }
    let stats = client.get("/stats").ok();
    assert_eq!(stats["documents"], 3);
    let collections = stats["collections"].as_array().unwrap();
    let named: Vec<(&Value, &Value)> = collections
        .iter()
        .map(|stats| (&stats["name"], &stats["documents"]))
        .collect();
    let expected = [(&json!("default"), &json!(2)), (&json!("other"), &json!(1))];
    assert_eq!(named, expected);
    for part in ["vector_bytes", "word_bytes", "metadata_bytes"] {
        let bytes = |nth: usize| collections[nth]["memory"][part].as_u64().unwrap();
        assert!(bytes(0) > 0 && bytes(1) > 0, "{part}: {stats}");
    }
    let service = &stats["service"];
    let queries = &service["caches"]["queries"];
    assert_eq!(
        (&queries["texts"], &queries["hits"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(queries["misses"], 1);
    let lanes = service["queue"].as_array().unwrap();
    assert!(lanes.iter().all(|lane| lane["tokens"] == 0), "{stats}");
    let (model, memory) = (&service["models"][0], &service["memory"]);
    assert_eq!(
        (&model["name"], &model["open"], &model["bytes"]),
        (&json!("default"), &json!(true), &memory["model_bytes"])
    );
    let process = memory["process_bytes"].as_u64().unwrap();
    assert!(process > memory["data_bytes"].as_u64().unwrap(), "{stats}");
    assert!(service["disk"]["live_bytes"].as_u64().unwrap() > 0);
    assert!(service["connections"].as_u64().unwrap() > 0);
}

#[test]
fn the_command_shows_statistics_to_people_and_to_machines() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    store(&server, "default", &["a", "b"]);
    let url = format!("http://127.0.0.1:{}", server.port());
    let run = |more: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["stats", "--url", &url]).args(more);
        let output = command.env_remove("SIAMESE_API_KEY").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let told = run(&[]);
    for part in ["default  ", "disk  ", "memory  ", "queue  ", "caches  "] {
        assert!(told.lines().any(|line| line.starts_with(part)), "{told}");
    }
    let stats: Value = serde_json::from_str(&run(&["--json"])).unwrap();
    assert_eq!(stats["documents"], 2);
}
