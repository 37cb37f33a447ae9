//! Collections keep their documents apart.

use serde_json::json;
use siamese_tests::Server;
use ureq::http::Method;

#[test]
fn collections_are_made_described_filled_apart_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let put = |body: &str| {
        client.send(
            Method::PUT,
            "/collections/notes",
            Some("application/json"),
            body.as_bytes(),
        )
    };
    assert_eq!(put(r#"{"chunking":{"mode":"off"}}"#).status, 201);
    assert_eq!(put(r#"{"chunking":{"mode":"off"}}"#).status, 200);

    client
        .post(
            "/collections/notes/documents",
            json!({"documents": [{"id": "n", "text": "x"}]}),
        )
        .ok();
    client
        .get("/documents/n")
        .problem(404, "document_not_found");
    assert_eq!(
        client.get("/collections/notes/documents/n").ok()["text"],
        "x"
    );
    assert_eq!(client.get("/collections/notes").ok()["documents"], 1);
    let list = client.get("/collections").ok();
    let names: Vec<_> = list["collections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["default", "notes"]);

    assert_eq!(client.delete("/collections/notes").status, 204);
    client
        .get("/collections/notes")
        .problem(404, "collection_not_found");
    client
        .post("/collections/notes/search", json!({"query": "x"}))
        .problem(404, "collection_not_found");
}

#[test]
fn deleting_the_default_collection_empties_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    client
        .post(
            "/documents",
            json!({"documents": [{"id": "a", "text": "x"}]}),
        )
        .ok();
    assert_eq!(client.delete("/collections/default").status, 204);
    assert_eq!(client.get("/collections/default").ok()["documents"], 0);
    client
        .post(
            "/documents",
            json!({"documents": [{"id": "a", "text": "x"}]}),
        )
        .ok();
}

#[test]
fn a_collection_has_its_own_index_settings_and_names_the_one_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let put = |body: &str| {
        client.send(
            Method::PUT,
            "/collections/tuned",
            Some("application/json"),
            body.as_bytes(),
        )
    };
    for (body, pointer) in [
        (r#"{"index":{"m":3}}"#, "/index/m"),
        (r#"{"index":{"m":65}}"#, "/index/m"),
        (
            r#"{"index":{"m":16,"ef_construction":16}}"#,
            "/index/ef_construction",
        ),
        (
            r#"{"index":{"ef_construction":2001}}"#,
            "/index/ef_construction",
        ),
        (r#"{"index":{"ef_search":0}}"#, "/index/ef_search"),
        (r#"{"index":{"precision":"half"}}"#, "/index/precision"),
    ] {
        let problem = put(body).problem(422, "invalid_request");
        assert_eq!(problem["pointer"], pointer);
    }
    assert_eq!(put(r#"{"index":{"m":24,"ef_search":128}}"#).status, 201);
    let index = client.get("/collections/tuned").ok()["index"].clone();
    assert_eq!(index["precision"], "full");
    assert_eq!(
        (&index["m"], &index["ef_search"]),
        (&json!(24), &json!(128))
    );
    assert_eq!(index["head_passages"], 0);
    assert_eq!(client.get("/readyz").ok()["index"], "ready");
}
