//! Budgets of keys against the real binary.

use serde_json::{Value, json};
use siamese_tests::ServerOptions;
use ureq::http::Method;

use crate::access::{key, siamese, told, until};

#[test]
fn tokens_of_a_key_are_used_up_by_texts_in_every_way_that_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let admin = key(folder.path(), "admin", "admin", &[]);
    let few = ["--tokens-per-minute", "40"];
    let keys =
        ["json", "stream", "texts"].map(|name| key(folder.path(), name, "search,write", &few));
    let server = ServerOptions::tiny(folder.path()).start();
    let [by_json, by_stream, by_texts] = keys.each_ref().map(|key| server.client().with_key(key));
    let text = "a lamp that blinks at night ".repeat(20);
    let documents = json!({ "documents": [{ "id": "a", "text": text }] });
    by_json.post("/documents", documents).ok();
    let refused = by_json.post("/search", json!({ "query": "lamp" }));
    refused.problem(429, "budget_exceeded");
    assert!(refused.headers.contains_key("retry-after"));
    assert!(
        refused.headers["ratelimit"]
            .to_str()
            .unwrap()
            .contains("\"tokens\";r=0;")
    );
    // What encodes nothing goes on.
    by_json.get("/documents").ok();

    // Lines beyond the first windows find the budget used up.
    let lines: String = (0..2000)
        .map(|number| {
            json!({ "id": format!("s-{number}"), "text": format!("{text} {number}") }).to_string()
                + "\n"
        })
        .collect();
    let answer = by_stream.send(
        Method::POST,
        "/documents",
        Some("application/x-ndjson"),
        lines.as_bytes(),
    );
    assert!(answer.text.contains("budget_exceeded"), "{}", answer.text);

    let embed = json!({ "inputs": [text] });
    by_texts.post("/embed", embed.clone()).ok();
    by_texts
        .post("/embed", embed.clone())
        .problem(429, "budget_exceeded");
    server.client().with_key(&admin).post("/embed", embed).ok();
}

#[test]
fn an_ingest_waits_until_the_key_has_tokens_for_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let admin = key(folder.path(), "admin", "admin", &[]);
    let server = ServerOptions::tiny(folder.path()).start();
    let documents = 1500;
    let text = |n: usize| format!("lamp {n:04} blinks at night and a bell rings twice");
    let inputs = json!({ "inputs": text(0) });
    let tokens = server.client().with_key(&admin).post("/tokenize", inputs);
    let tokens = tokens.ok()[0].as_array().unwrap().len();
    // All but a tenth at once, and that within 6 seconds.
    let minute = (documents * tokens * 9 / 10).to_string();
    let more = ["--tokens-per-minute", &minute];
    let writer = key(folder.path(), "feed", "search,write", &more);
    let [file, report] = ["notes.jsonl", "report.json"]
        .map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let lines =
        (0..documents).map(|n| json!({"id": n.to_string(), "text": text(n)}).to_string() + "\n");
    fs_err::write(&file, lines.collect::<String>()).unwrap();
    let url = format!("http://127.0.0.1:{}", server.port());
    let search = ["search", "lamp", "--url", &url, "--key", &writer];
    until("the key is known", || siamese(&search).status.success());
    let ingest = [
        "ingest", &file, "--report", &report, "--url", &url, "--key", &writer,
    ];
    told(&siamese(&ingest));
    let account: Value = serde_json::from_slice(&fs_err::read(&report).unwrap()).unwrap();
    assert_eq!(account["documents"]["created"], documents, "{account}");
}
