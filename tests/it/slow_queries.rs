//! The log of queries that take long.

use serde_json::{Value, json};
use siamese_tests::ServerOptions;

/// Texts that no model encodes within a millisecond.
fn many_texts(word: &str) -> Vec<String> {
    (0..300)
        .map(|nth| format!("{word} number {nth} of many"))
        .collect()
}

#[test]
fn a_slow_query_is_logged_with_the_parts_of_its_time_and_without_its_texts() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let server = ServerOptions::tiny(&data)
        .log_to(&log)
        .setting("LOG__FORMAT", "json")
        .setting("LOG__SLOW_QUERY_MS", 1)
        .start();
    let client = server.client();
    let documents = many_texts("zebra").into_iter();
    let documents: Vec<Value> = documents.map(|text| json!({ "text": text })).collect();
    client
        .post("/documents", json!({ "documents": documents }))
        .ok();
    let answer = client.post("/v1/embeddings", json!({ "input": many_texts("zebra") }));
    answer.ok();
    let id = answer.headers["x-request-id"].to_str().unwrap().to_owned();
    assert!(server.terminate().success());

    let logged = fs_err::read_to_string(&log).unwrap();
    let lines = logged
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let slow: Vec<Value> = lines
        .filter(|line: &Value| line["fields"]["message"] == "slow query")
        .collect();
    let routes: Vec<&Value> = slow.iter().map(|line| &line["fields"]["route"]).collect();
    assert_eq!(routes, ["/v1/embeddings"], "a write is no query");
    let (fields, span) = (&slow[0]["fields"], &slow[0]["span"]);
    assert_eq!(
        (&fields["status"], &span["request_id"]),
        (&json!(200), &json!(id))
    );
    let ms = |name: &str| fields[name].as_f64().unwrap();
    let parts = [
        "body_ms",
        "tokenize_ms",
        "queue_ms",
        "encode_ms",
        "search_ms",
        "answer_ms",
    ];
    let sum: f64 = parts.into_iter().map(ms).sum();
    assert!(ms("encode_ms") > 0.0 && ms("tokenize_ms") > 0.0, "{fields}");
    assert!(sum <= ms("took_ms") + 0.1, "{fields}");
    assert!(!logged.contains("zebra"));
}

#[test]
fn the_log_of_slow_queries_can_be_switched_off() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let server = ServerOptions::tiny(&data)
        .log_to(&log)
        .setting("LOG__SLOW_QUERY_MS", 0)
        .start();
    let texts = json!({ "input": many_texts("lamp") });
    server.client().post("/v1/embeddings", texts).ok();
    assert!(server.terminate().success());
    assert!(!fs_err::read_to_string(&log).unwrap().contains("slow query"));
}
