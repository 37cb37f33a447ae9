//! Feedback: which documents were useful for which queries.

use serde_json::{Value, json};
use siamese_tests::{Answer, Client, ServerOptions};
use ureq::http::Method;

const LINES: &[(&str, &str)] = &[("Accept", "application/x-ndjson")];

fn store(client: &Client, ids: &[&str]) {
    let documents: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "text": format!("This is {id}.")}))
        .collect();
    client
        .post("/documents", json!({ "documents": documents }))
        .ok();
}

fn said(query: &str, document: &str, useful: bool) -> Value {
    json!({"query": query, "document": document, "useful": useful})
}

/// Queries, documents and whether they are useful, without moments.
fn lines(client: &Client, path: &str) -> Vec<Value> {
    let answer = client.ask(Method::GET, path, LINES, Value::Null);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let lines = answer.text.lines();
    let mut lines: Vec<Value> = lines
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let at = line.as_object_mut().unwrap().remove("at");
            assert!(at.unwrap().as_str().unwrap().ends_with('Z'));
            line
        })
        .collect();
    lines.sort_by_key(Value::to_string);
    lines
}

fn delete(client: &Client, path: &str) -> Answer {
    client.delete(path)
}

#[test]
fn feedback_is_durable_listed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    store(client, &["a", "b", "c/d"]);
    let one = client.post("/feedback", said("q", "a", true)).ok();
    assert_eq!(one, json!({"created": 1, "updated": 0}));
    let many: Vec<Value> = (0..7)
        .map(|n| said(&format!("p{n}"), "c/d", n > 2))
        .collect();
    client.post("/feedback", json!({ "feedback": many })).ok();
    let again = json!({"feedback": [said("q", "a", false), said("q", "b", true)]});
    let again = client.post("/feedback", again).ok();
    assert_eq!(again, json!({"created": 1, "updated": 1}));
    server.kill();

    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    let mut expected = many;
    expected.extend([said("q", "a", false), said("q", "b", true)]);
    expected.sort_by_key(Value::to_string);
    assert_eq!(lines(client, "/feedback"), expected);
    assert_eq!(
        lines(client, "/collections/default/feedback?document=b"),
        [said("q", "b", true)]
    );
    let (mut paged, mut cursor) = (0, String::new());
    loop {
        let page = client.get(&format!("/feedback?limit=4{cursor}")).ok();
        assert_eq!(page["total"], 9);
        paged += page["feedback"].as_array().unwrap().len();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, 9);

    // What was listed can be given again.
    let page = client.get("/feedback?limit=9").ok();
    let again = json!({"feedback": page["feedback"]});
    let again = client.post("/feedback", again).ok();
    assert_eq!(again, json!({"created": 0, "updated": 0}));

    // Goes with the document, and stays when that is replaced.
    store(client, &["b"]);
    client.delete("/documents/a");
    store(client, &["a"]);
    assert_eq!(client.get("/feedback").ok()["total"], 8);
    for (query, deleted) in [
        ("document=c%2Fd&query=p0", 1),
        ("query=p1", 1),
        ("document=c%2Fd", 5),
        ("all=true", 1),
    ] {
        let answer = delete(client, &format!("/feedback?{query}")).ok();
        assert_eq!(answer["deleted"], deleted, "{query}");
    }
    assert_eq!(lines(client, "/feedback"), Vec::<Value>::new());
}

/// Bodies that are no feedback, and the fields at fault.
fn bad_bodies() -> Vec<(Value, &'static str)> {
    let long = "q".repeat(3073);
    vec![
        (json!({}), ""),
        (json!({"query": "q", "document": "a"}), ""),
        (
            json!({"query": "q", "document": "a", "useful": true, "feedback": []}),
            "",
        ),
        (
            json!({"query": "q", "document": "a", "useful": "yes"}),
            "/useful",
        ),
        (said("", "a", true), "/query"),
        (said(" \n", "a", true), "/query"),
        (said(&long, "a", true), "/query"),
        (said("q", "", true), "/document"),
        (said("q", &"i".repeat(513), true), "/document"),
        (
            json!({"feedback": [said("q", "a", true), said("", "a", true)]}),
            "/feedback/1/query",
        ),
        (
            json!({"feedback": vec![said("q", "a", true); 4]}),
            "/feedback",
        ),
        (json!({"feedback": [{"query": "q"}]}), "/feedback/0"),
        (json!({"feedback": [], "more": 1}), ""),
    ]
}

#[test]
fn what_is_no_feedback_is_pointed_at_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("LIMITS__MAX_FEEDBACK_PER_REQUEST", 3)
        .start();
    let client = server.client();
    store(client, &["a"]);
    for (body, pointer) in bad_bodies() {
        let problem = client
            .post("/feedback", body.clone())
            .problem(422, "invalid_request");
        let found = problem["pointer"].as_str().unwrap_or_default();
        assert!(found.starts_with(pointer), "{body}: {problem}");
    }
    let unknown = json!({"feedback": [said("q", "a", true), said("q", "b", true)]});
    let problem = client
        .post("/feedback", unknown)
        .problem(404, "document_not_found");
    assert_eq!(problem["pointer"], "/feedback/1/document");
    client
        .post("/collections/none/feedback", said("q", "a", true))
        .problem(404, "collection_not_found");
    for query in [
        "",
        "?all=false",
        "?all=true&document=a",
        "?everything=true",
        "?document=",
    ] {
        delete(client, &format!("/feedback{query}")).problem(422, "invalid_request");
    }
    for query in [
        "limit=0",
        "limit=1001",
        "cursor=%00",
        "cursor=AAAA",
        "page=1",
    ] {
        client
            .get(&format!("/feedback?{query}"))
            .problem(422, "invalid_request");
    }
    assert_eq!(client.get("/feedback").ok()["total"], 0);
}

#[test]
fn feedback_that_is_full_takes_no_more_until_some_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("LIMITS__MAX_FEEDBACK_PER_COLLECTION", 4)
        .start();
    let client = server.client();
    store(client, &["a"]);
    for n in 0..4 {
        client
            .post("/feedback", said(&format!("q{n}"), "a", true))
            .ok();
    }
    let full = client.post("/feedback", said("q4", "a", true));
    let full = full.problem(409, "conflict");
    let detail = full["detail"].as_str().unwrap();
    assert!(
        detail.contains("limits.max_feedback_per_collection = 4"),
        "{detail}"
    );
    client.post("/feedback", said("q3", "a", false)).ok();
    delete(client, "/feedback?query=q0").ok();
    client.post("/feedback", said("q4", "a", true)).ok();
}
