//! Whatever is wrong with a request is said clearly, and nothing is stored.

use serde_json::{Value, json};
use siamese_tests::{Client, Server, ServerOptions};
use ureq::http::Method;

fn assert_nothing_stored(client: &Client) {
    assert_eq!(client.get("/documents").ok()["documents"], json!([]));
}

#[track_caller]
fn invalid(client: &Client, path: &str, body: Value, pointer: &str) -> String {
    let problem = client.post(path, body).problem(422, "invalid_request");
    assert_eq!(problem["pointer"], pointer, "{problem}");
    problem["detail"].as_str().unwrap().to_owned()
}

#[test]
fn bodies_that_are_not_json_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let post = |content_type, body: &[u8]| {
        client.send(Method::POST, "/documents", Some(content_type), body)
    };
    post("application/json", b"{\"documents\": [").problem(400, "malformed_json");
    post("application/json", b"").problem(400, "malformed_json");
    post("application/json", b"{\"documents\":[{\"text\":\"\xff\"}]}")
        .problem(400, "malformed_json");
    post("text/plain", b"{}").problem(415, "unsupported_media_type");
    assert_nothing_stored(client);
}

#[test]
fn a_bad_document_is_pointed_at_and_its_neighbours_are_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let with = |document: Value| json!({"documents": [{"id": "good", "text": "fine"}, document]});
    let check = |document: Value, pointer| invalid(client, "/documents", with(document), pointer);

    check(json!({"id": "x"}), "/documents/1");
    check(json!({"text": ""}), "/documents/1/text");
    check(json!({"text": " \n\t\u{a0}"}), "/documents/1/text");
    check(json!({"text": 7}), "/documents/1/text");
    check(json!({"text": "x", "txet": "y"}), "/documents/1/txet");
    check(json!({"id": "", "text": "x"}), "/documents/1/id");
    check(
        json!({"id": "i".repeat(513), "text": "x"}),
        "/documents/1/id",
    );
    check(json!({"id": "good", "text": "again"}), "/documents/1/id");
    check(
        json!({"text": "x", "metadata": [1]}),
        "/documents/1/metadata",
    );
    check(
        json!({"text": "x", "metadata": {"m": "v".repeat(70_000)}}),
        "/documents/1/metadata",
    );
    check(
        json!({"text": "x", "title": "t".repeat(3000)}),
        "/documents/1/title",
    );
    let detail = check(json!({"text": "x".repeat(1_048_577)}), "/documents/1/text");
    assert!(
        detail.contains("limits.max_text_bytes = 1048576"),
        "{detail}"
    );
    invalid(client, "/documents", json!({"documents": []}), "/documents");
    invalid(client, "/documents", json!({"docs": []}), "/docs");
    assert_nothing_stored(client);
}

#[test]
fn limits_hold_at_the_edge_and_are_named_over_it() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServerOptions::new(folder.path())
        .setting("LIMITS__MAX_TEXT_BYTES", 10)
        .setting("LIMITS__MAX_DOCUMENTS_PER_REQUEST", 2)
        .setting("LIMITS__MAX_BODY_BYTES", 1000)
        .setting("LIMITS__MAX_TOP_K", 5)
        .setting("LIMITS__MAX_OFFSET", 3);
    let server = options.start();
    let client = server.client();
    let documents = |count| {
        let document = |n: usize| json!({"id": n.to_string(), "text": "0123456789"});
        json!({"documents": (0..count).map(document).collect::<Vec<_>>()})
    };
    client.post("/documents", documents(2)).ok();
    let detail = invalid(client, "/documents", documents(3), "/documents");
    assert!(
        detail.contains("limits.max_documents_per_request = 2"),
        "{detail}"
    );
    let body = json!({"documents": [{"text": "0123456789a"}]});
    invalid(client, "/documents", body, "/documents/0/text");
    let large = json!({"query": "q".repeat(2000)});
    let problem = client
        .post("/search", large.clone())
        .problem(413, "payload_too_large");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("limits.max_body_bytes"),
        "{problem}"
    );
    client
        .post("/documents", large)
        .problem(413, "payload_too_large");

    client
        .post("/search", json!({"query": "q", "top_k": 5, "offset": 3}))
        .ok();
    invalid(
        client,
        "/search",
        json!({"query": "q", "top_k": 6}),
        "/top_k",
    );
    invalid(
        client,
        "/search",
        json!({"query": "q", "top_k": 0}),
        "/top_k",
    );
    invalid(
        client,
        "/search",
        json!({"query": "q", "offset": 4}),
        "/offset",
    );
}

#[test]
fn bad_searches_are_refused_with_a_pointer() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let check = |body, pointer| invalid(client, "/search", body, pointer);
    check(json!({}), "");
    check(json!({"query": "x", "id": "y"}), "");
    check(json!({"query": "   "}), "/query");
    check(json!({"query": "x", "top_k": 1_000_000}), "/top_k");
    check(json!({"query": "x", "top_k": -1}), "/top_k");
    check(json!({"query": "x", "min_score": 2}), "/min_score");
    check(
        json!({"query": "x", "include": ["everything"]}),
        "/include/0",
    );
    check(json!({"query": "x", "filter": [1]}), "/filter");
    check(json!({"query": "x", "fliter": {}}), "/fliter");
    check(json!({"vector": [1.0, 2.0]}), "/vector");
    check(json!({"vector": vec![0.0; 384]}), "/vector");
    check(json!({"vector": vec![1e300; 384]}), "/vector/0");
    check(json!({"vector": ["NaN"]}), "/vector/0");
    client
        .send(
            Method::POST,
            "/search",
            Some("application/json"),
            br#"{"vector":[NaN]}"#,
        )
        .problem(400, "malformed_json");
}

#[test]
fn bad_comparisons_are_refused_with_a_pointer() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let check = |body, pointer| invalid(client, "/similarity", body, pointer);
    check(json!({}), "");
    check(json!({"pairs": []}), "/pairs");
    check(json!({"pairs": [["a"]]}), "/pairs/0");
    check(json!({"pairs": [["a", ""]]}), "/pairs/0/1");
    check(json!({"source": "a"}), "");
    check(
        json!({"source": "a", "targets": [{"text": "b", "id": "c"}]}),
        "/targets/0",
    );
    check(json!({"left": ["a"], "targets": ["b"]}), "");
    check(
        json!({"pairs": [["a", "b"]], "metric": "hamming"}),
        "/metric",
    );
    check(json!({"left": vec!["a"; 2049]}), "/left");
}

#[test]
fn addresses_and_methods_that_are_not_there_are_problems_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    client.get("/nowhere").problem(404, "not_found");
    let answer = client.delete("/search");
    answer.problem(405, "method_not_allowed");
    assert_eq!(answer.headers["allow"], "POST,GET,HEAD");
    client
        .get("/collections/nope/documents")
        .problem(404, "collection_not_found");
    client
        .get("/collections/n%20o")
        .problem(422, "invalid_request");
    client
        .get("/documents?limit=0")
        .problem(422, "invalid_request");
    client
        .get("/documents?limt=1")
        .problem(422, "invalid_request");
    client.get("/documents/%ff").problem(404, "not_found");
}
