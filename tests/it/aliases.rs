//! Other names of collections.

use serde_json::{Value, json};
use siamese_tests::{Answer, Client, ServerOptions};
use ureq::http::Method;

fn put(client: &Client, path: &str, body: Value) -> Answer {
    client.ask(Method::PUT, path, &[], body)
}

fn point(client: &Client, alias: &str, collection: &str) -> Answer {
    let body = json!({ "collection": collection });
    put(client, &format!("/aliases/{alias}"), body)
}

fn store(client: &Client, collection: &str, id: &str, text: &str) {
    let path = format!("/collections/{collection}/documents");
    let body = json!({"documents": [{"id": id, "text": text}]});
    client.post(&path, body).ok();
}

fn best(client: &Client, collection: &str) -> Value {
    let path = format!("/collections/{collection}/search");
    let found = client.post(&path, json!({"query": "a cat", "top_k": 1}));
    found.ok()["hits"][0]["id"].clone()
}

#[test]
fn an_alias_stands_wherever_a_collections_name_does_and_is_switched_between_two_requests() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    for name in ["old", "new"] {
        assert_eq!(
            put(client, &format!("/collections/{name}"), json!({})).status,
            201
        );
        store(client, name, name, "A cat sleeps.");
    }
    let made = point(client, "tickets", "old");
    assert_eq!(
        (made.status, made.json()),
        (201, json!({"alias": "tickets", "collection": "old"}))
    );
    assert_eq!(best(client, "tickets"), "old");
    store(client, "tickets", "second", "A dog barks.");
    let at = |path: &str| client.get(&format!("/collections/tickets{path}"));
    assert_eq!(at("").ok()["name"], "old");
    assert_eq!(at("/documents/second").ok()["text"], "A dog barks.");
    assert_eq!(
        at("/documents").ok()["documents"].as_array().unwrap().len(),
        2
    );
    assert_eq!(at("/search?q=cat").status, 200);
    let pair = json!({"pairs": [[{"id": "second"}, "A dog barks."]]});
    client.post("/collections/tickets/similarity", pair).ok();
    assert!(at("/export").text.contains("\"collection\":\"old\""));

    assert_eq!(point(client, "tickets", "new").status, 200);
    assert_eq!(best(client, "tickets"), "new");
    assert_eq!(client.get("/aliases/tickets").ok()["collection"], "new");
    assert_eq!(client.delete("/collections/old").status, 204);
    assert_eq!(point(client, "a", "new").status, 201);
    let listed = client.get("/aliases").ok();
    let expected = json!({"aliases": [
        {"alias": "a", "collection": "new"}, {"alias": "tickets", "collection": "new"},
    ]});
    assert_eq!(listed, expected);
}

#[test]
fn generations_and_comparisons_go_by_alias_and_a_cursor_ends_when_it_is_switched() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    for name in ["old", "new"] {
        put(client, &format!("/collections/{name}"), json!({})).ok();
        store(client, name, "first", "A cat sleeps.");
        store(client, name, "second", "A dog barks.");
    }
    point(client, "tickets", "old").ok();
    let listed = client.get("/collections/tickets/generations").ok();
    assert_eq!(listed["generations"][0]["generation"], 1);
    let duplicates = json!({"min_score": 0.99});
    client
        .post("/collections/tickets/duplicates", duplicates)
        .ok();
    let page = json!({"query": "a cat", "top_k": 1});
    let first = client.post("/collections/tickets/search", page).ok();
    point(client, "tickets", "new").ok();
    let next = json!({"query": "a cat", "top_k": 1, "cursor": first["next_cursor"]});
    client
        .post("/collections/tickets/search", next)
        .problem(410, "cursor_expired");
}

#[test]
fn aliases_survive_a_kill_and_are_in_snapshots() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    put(client, "/collections/new", json!({})).ok();
    store(client, "new", "new", "A cat sleeps.");
    for alias in ["tickets", "a"] {
        assert_eq!(point(client, alias, "new").status, 201);
    }
    let snapshot = client.post("/snapshots", json!({})).ok();
    let snapshot = folder
        .path()
        .join("snapshots")
        .join(snapshot["name"].as_str().unwrap());
    assert_eq!(client.delete("/aliases/a").status, 204);
    server.kill();
    let server = ServerOptions::tiny(folder.path()).start();
    assert_eq!(best(server.client(), "tickets"), "new");
    server
        .client()
        .get("/aliases/a")
        .problem(404, "alias_not_found");
    server.terminate();

    // A snapshot has them, too.
    let restored = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(siamese_tests::binary())
        .args(["snapshot", "restore"])
        .arg(snapshot)
        .arg("--data")
        .arg(restored.path())
        .output();
    assert!(output.unwrap().status.success());
    let server = ServerOptions::tiny(restored.path()).start();
    assert_eq!(best(server.client(), "a"), "new");
}

#[test]
fn names_that_clash_and_limits_are_refused_and_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("LIMITS__MAX_ALIASES", 2)
        .start();
    let client = server.client();
    assert_eq!(put(client, "/collections/one", json!({})).status, 201);
    assert_eq!(point(client, "alias", "one").status, 201);
    let conflict = |answer: Answer, part: &str| {
        let problem = answer.problem(409, "conflict");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{detail}");
    };
    conflict(point(client, "one", "default"), "name of a collection");
    conflict(
        put(client, "/collections/alias", json!({})),
        "alias of the collection \"one\"",
    );
    conflict(client.delete("/collections/alias"), "DELETE /aliases/");
    conflict(client.delete("/collections/one"), "\"alias\"");
    conflict(
        point(client, "second", "alias"),
        "an alias of the collection",
    );
    point(client, "second", "none").problem(404, "collection_not_found");
    let bad = point(client, "bad%20name", "one").problem(422, "invalid_request");
    assert!(bad["detail"].as_str().unwrap().contains("1 to 64"));
    let bad = point(client, "second", "bad name").problem(422, "invalid_request");
    assert_eq!(bad["pointer"], "/collection");
    let bad = put(client, "/aliases/second", json!({})).problem(422, "invalid_request");
    assert!(bad["detail"].as_str().unwrap().contains("collection"));
    assert_eq!(point(client, "second", "one").status, 201);
    conflict(point(client, "third", "one"), "limits.max_aliases = 2");
    client
        .delete("/aliases/none")
        .problem(404, "alias_not_found");
    for alias in ["alias", "second"] {
        assert_eq!(client.delete(&format!("/aliases/{alias}")).status, 204);
    }
    assert_eq!(client.delete("/collections/one").status, 204);
    assert_eq!(put(client, "/collections/alias", json!({})).status, 201);
}

#[test]
fn no_request_fails_while_an_alias_is_switched() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    for name in ["a", "b"] {
        put(client, &format!("/collections/{name}"), json!({})).ok();
        store(client, name, name, "A cat sleeps.");
    }
    point(client, "live", "a").ok();
    let base = format!("http://127.0.0.1:{}", server.port());
    std::thread::scope(|scope| {
        let searching = scope.spawn(|| {
            let client = Client::new(&base);
            (0..60).map(|_| best(&client, "live")).collect::<Vec<_>>()
        });
        for n in 0..30 {
            point(client, "live", ["b", "a"][n % 2]).ok();
        }
        let found = searching.join().unwrap();
        assert!(found.iter().all(|id| id == "a" || id == "b"), "{found:?}");
    });
}
