//! Writing, reading, changing and deleting documents.

use serde_json::{Value, json};
use siamese_tests::Server;
use ureq::http::Method;

fn statuses(answer: &Value) -> Vec<&str> {
    let results = answer["results"].as_array().unwrap();
    results
        .iter()
        .map(|result| result["status"].as_str().unwrap())
        .collect()
}

#[test]
fn a_document_lives_through_create_read_update_patch_delete() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();

    let document = json!({"id": "a/b c", "title": "Sign-in", "text": "My password is refused.",
                          "metadata": {"status": "open", "tags": ["login"]}});
    let request = json!({"documents": [document]});
    assert_eq!(
        statuses(&client.post("/documents", request.clone()).ok()),
        ["created"]
    );
    assert_eq!(
        statuses(&client.post("/documents", request).ok()),
        ["unchanged"]
    );

    let stored = client.get("/documents/a%2Fb%20c?include=vectors").ok();
    assert_eq!(stored["id"], "a/b c");
    assert_eq!(stored["title"], "Sign-in");
    assert_eq!(stored["metadata"]["tags"], json!(["login"]));
    assert_eq!(
        stored["passages"][0]["end"],
        "My password is refused.".len()
    );
    assert_eq!(
        stored["passages"][0]["vector"].as_array().unwrap().len(),
        384
    );

    let changed = json!({"documents": [{"id": "a/b c", "text": "Something else altogether."}]});
    assert_eq!(
        statuses(&client.post("/documents", changed).ok()),
        ["updated"]
    );
    let stored = client.get("/documents/a%2Fb%20c").ok();
    assert_eq!(
        (stored["title"].as_str(), &stored["metadata"]),
        (None, &json!({}))
    );

    let patch = json!({"metadata": {"a": {"b": 1, "c": 2}}});
    let body = patch.to_string();
    let patched = client.send(
        Method::PATCH,
        "/documents/a%2Fb%20c",
        Some("application/json"),
        body.as_bytes(),
    );
    assert_eq!(patched.ok()["metadata"], json!({"a": {"b": 1, "c": 2}}));

    assert_eq!(client.delete("/documents/a%2Fb%20c").status, 204);
    client
        .get("/documents/a%2Fb%20c")
        .problem(404, "document_not_found");
    client
        .delete("/documents/a%2Fb%20c")
        .problem(404, "document_not_found");
}

#[test]
fn a_document_without_an_id_gets_one_that_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let answer = server
        .client()
        .post("/documents", json!({"documents": [{"text": "hello"}]}))
        .ok();
    let id = answer["results"][0]["id"].as_str().unwrap();
    assert_eq!(
        server.client().get(&format!("/documents/{id}")).ok()["text"],
        "hello"
    );
}

#[test]
fn pages_list_every_document_once_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let documents: Vec<Value> = (0..7)
        .map(|n| json!({"id": format!("d{n}"), "text": format!("text {n}")}))
        .collect();
    server
        .client()
        .post("/documents", json!({"documents": documents}))
        .ok();

    let mut seen = Vec::new();
    let mut path = "/documents?limit=3&include=text".to_owned();
    loop {
        let page = server.client().get(&path).ok();
        for document in page["documents"].as_array().unwrap() {
            assert!(document["text"].as_str().unwrap().starts_with("text"));
            seen.push(document["id"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/documents?limit=3&include=text&cursor={cursor}");
    }
    assert_eq!(seen, ["d0", "d1", "d2", "d3", "d4", "d5", "d6"]);
}

#[test]
fn deleting_by_id_counts_what_was_there_and_a_dry_run_deletes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let documents = json!({"documents": [{"id": "a", "text": "x"}, {"id": "b", "text": "y"}]});
    client.post("/documents", documents).ok();
    let ids = json!(["a", "b", "b", "nowhere"]);
    let dry = client
        .post("/documents/delete", json!({"ids": ids, "dry_run": true}))
        .ok();
    assert_eq!(dry["deleted"], 2);
    assert_eq!(
        client.post("/documents/delete", json!({"ids": ids})).ok()["deleted"],
        2
    );
    assert_eq!(client.get("/documents").ok()["documents"], json!([]));
}

#[test]
fn a_text_over_the_window_is_stored_whole_with_a_warning_when_chunking_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let text = "many words ".repeat(400);
    let settings = br#"{"chunking": {"mode": "off"}}"#;
    let json = Some("application/json");
    let put = server
        .client()
        .send(Method::PUT, "/collections/whole", json, settings);
    assert_eq!(put.status, 201);
    let answer = server.client().post(
        "/collections/whole/documents",
        json!({"documents": [{"id": "l", "text": text}]}),
    );
    let warning = answer.ok()["results"][0]["warnings"][0].clone();
    assert_eq!(warning["code"], "truncated");
    assert!(
        warning["detail"].as_str().unwrap().contains("256"),
        "{warning}"
    );
    assert_eq!(
        server.client().get("/collections/whole/documents/l").ok()["text"],
        text
    );
}

#[test]
fn documents_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let documents =
        json!({"documents": [{"id": "a", "text": "The cat sleeps.", "metadata": {"n": 1}}]});
    server.client().post("/documents", documents).ok();
    assert!(server.terminate().success());

    let server = Server::start(folder.path());
    assert_eq!(server.client().get("/documents/a").ok()["metadata"]["n"], 1);
    let hits = server
        .client()
        .post("/search", json!({"query": "a sleeping pet"}))
        .ok();
    assert_eq!(hits["hits"][0]["id"], "a");
}

/// Paths do not carry every id: one is that of a route, and clients take others for steps up.
#[test]
fn every_id_that_can_be_stored_can_be_read_changed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let ids = [
        "delete", ".", "..", "a/", "a//b", "?", "#", "%", "%2e", "+", " ", "\u{0}", "é",
    ];
    let documents: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "text": "rain"}))
        .collect();
    client
        .post("/documents", json!({"documents": documents}))
        .ok();
    for id in ids {
        let escaped: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut paths = vec![format!("/documents?id={escaped}")];
        if !matches!(id, "." | "..") {
            paths.push(format!("/collections/default/documents/{escaped}"));
        }
        for path in paths {
            let patch = json!({"metadata": {"seen": path}});
            let patched = client.try_json(Method::PATCH, &path, &patch).unwrap().ok();
            assert_eq!(patched["id"], id, "{path}");
            let read = client.get(&path).ok();
            assert_eq!(
                (&read["id"], &read["metadata"]["seen"]),
                (&json!(id), &json!(path))
            );
        }
        let path = format!("/documents?id={escaped}");
        assert_eq!(client.delete(&path).status, 204, "{path}");
        client.get(&path).problem(404, "document_not_found");
    }
    client.delete("/documents").problem(422, "invalid_request");
    client
        .get("/documents?id=a&limit=1")
        .problem(422, "invalid_request");
}
