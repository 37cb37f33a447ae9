//! How much memory the data may take, and limits that hold for what a write leads to.

use serde_json::{Value, json};
use siamese_tests::{Answer, Client, ServerOptions};
use ureq::http::Method;

fn put(client: &Client, path: &str, body: &Value) -> Answer {
    let body = body.to_string();
    client.send(Method::PUT, path, Some("application/json"), body.as_bytes())
}

fn patch(client: &Client, path: &str, body: &Value) -> Answer {
    let body = body.to_string();
    client.send(
        Method::PATCH,
        path,
        Some("application/json"),
        body.as_bytes(),
    )
}

fn document(n: usize) -> Value {
    let metadata = json!({
        "key": format!("a key that only document {n:08} has"),
        "list": (0..200).map(|place| format!("{n}-{place}")).collect::<Vec<_>>(),
    });
    json!({"id": format!("d{n}"), "text": "a lamp", "metadata": metadata})
}

#[test]
fn a_full_memory_refuses_writes_until_documents_are_deleted_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("STORAGE__MAX_MEMORY_BYTES", 2_000_000)
        .start();
    let client = server.client();
    let store = |n: usize| client.post("/documents", json!({"documents": [document(n)]}));
    let (count, refused) = (0..1000)
        .map(|n| (n, store(n)))
        .find(|(_, answer)| answer.status != 200)
        .expect("memory is never full");
    let problem = refused.problem(507, "memory_full");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("storage.max_memory_bytes = 2000000"),
        "{detail}"
    );
    let metrics = client.get("/metrics").text;
    assert!(
        metrics.contains("siamese_condition{condition=\"memory_full\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("siamese_data_memory_limit_bytes 2000000"));
    assert_eq!(client.get("/readyz").status, 200);
    client.post("/search", json!({"query": "lamp"})).ok();
    let ids: Vec<String> = (0..count / 2).map(|n| format!("d{n}")).collect();
    client.post("/documents/delete", json!({"ids": ids})).ok();
    store(count).ok();
    assert!(
        client
            .get("/metrics")
            .text
            .contains("siamese_condition{condition=\"memory_full\"} 0")
    );
    drop(server);
    // Data that needs far more than there is said to be is not opened.
    let (status, error) = ServerOptions::new(folder.path())
        .setting("STORAGE__MAX_MEMORY_BYTES", 200_000)
        .start_and_fail();
    assert!(!status.success());
    assert!(error.contains("storage.max_memory_bytes"), "{error}");
}

#[test]
fn a_patch_may_not_lead_to_metadata_over_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("LIMITS__MAX_METADATA_BYTES", 1000)
        .start();
    let client = server.client();
    let metadata = |key: &str, bytes: usize| json!({"metadata": {key: "m".repeat(bytes)}});
    let mut document = metadata("first", 600);
    document["id"] = json!("d");
    document["text"] = json!("text");
    client
        .post("/documents", json!({"documents": [document]}))
        .ok();
    // {"first":"..","other":".."}: 23 bytes beside the values.
    patch(client, "/documents/d", &metadata("other", 377)).ok();
    patch(
        client,
        "/documents/d",
        &json!({"metadata": {"other": null}}),
    )
    .ok();
    let refused = patch(client, "/documents/d", &metadata("other", 378));
    let problem = refused.problem(422, "invalid_request");
    assert_eq!(problem["pointer"], "/metadata");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("1001") && detail.contains("limits.max_metadata_bytes = 1000"),
        "{detail}"
    );
    let stored = client.get("/documents/d").ok();
    assert!(stored["metadata"]["other"].is_null());
}

#[test]
fn collections_made_at_the_same_time_are_not_more_than_there_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("LIMITS__MAX_COLLECTIONS", 4)
        .start();
    let requests: Vec<_> = (0..16)
        .map(|n| {
            let client = server.client().clone();
            std::thread::spawn(move || put(&client, &format!("/collections/c{n}"), &json!({})))
        })
        .collect();
    let answers = requests.into_iter().map(|request| request.join().unwrap());
    let statuses: Vec<u16> = answers.map(|answer| answer.status).collect();
    let made = statuses
        .iter()
        .filter(|status| (200..300).contains(*status));
    assert_eq!(made.count(), 3, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 13);
    let listed = server.client().get("/collections").ok();
    assert_eq!(listed["collections"].as_array().unwrap().len(), 4);
    // What is there can still be asked for.
    let n = statuses.iter().position(|status| *status < 300).unwrap();
    put(server.client(), &format!("/collections/c{n}"), &json!({})).ok();
}
