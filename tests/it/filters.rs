//! Filters, facets and deleting by filter, over HTTP.

use serde_json::{Value, json};
use siamese_tests::{Client, Server, ServerOptions};

/// Documents with metadata of every kind.
fn fill(client: &Client) {
    let documents = json!({"documents": [
        {"id": "a", "text": "The password is refused.",
         "metadata": {"status": "open", "year": 2019, "tags": ["login", "web"], "by": {"name": "Ada"}}},
        {"id": "b", "text": "Signing in fails.",
         "metadata": {"status": "open", "year": 2024, "tags": ["login"], "by": {"name": "Bob"}}},
        {"id": "c", "text": "The lamp flickers.",
         "metadata": {"status": "closed", "year": 2024, "tags": [], "done": "2024-05-01T10:00:00Z"}},
        {"id": "d", "text": "Boil the potatoes.", "metadata": {"status": null}},
        {"id": "e", "text": "The lamp is dark."},
    ]});
    client.post("/documents", documents).ok();
}

fn search(client: &Client, filter: &Value) -> Value {
    let body = json!({"query": "lamp", "filter": filter, "facets": ["status", "tags"]});
    client.post("/search", body).ok()
}

fn ids(answer: &Value) -> Vec<&str> {
    let hits = answer["hits"].as_array().unwrap().iter();
    let mut ids: Vec<&str> = hits.map(|hit| hit["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_filtered_search_returns_and_counts_what_passes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    fill(server.client());
    for (filter, expected) in [
        (json!({}), vec!["a", "b", "c", "d", "e"]),
        (json!({"status": "open"}), vec!["a", "b"]),
        (json!({"status": null}), vec!["d"]),
        (json!({"status": {"$exists": false}}), vec!["e"]),
        (json!({"status": {"$ne": "open"}}), vec!["c", "d", "e"]),
        (json!({"tags": "login", "year": {"$gte": 2020}}), vec!["b"]),
        (json!({"by.name": {"$prefix": "A"}}), vec!["a"]),
        (
            json!({"done": {"$gte": "2024-05-01", "$lt": "2024-06"}}),
            vec!["c"],
        ),
        (
            json!({"$or": [{"year": {"$lt": 2020}}, {"status": {"$in": ["closed"]}}]}),
            vec!["a", "c"],
        ),
        (json!({"$not": {"status": {"$exists": true}}}), vec!["e"]),
        (json!({"status": "nowhere"}), vec![]),
    ] {
        let answer = search(server.client(), &filter);
        assert_eq!(ids(&answer), expected, "{filter}");
        let total =
            json!({"value": expected.len(), "relation": "exact", "counted": "passing_filter"});
        assert_eq!(answer["total"], total, "{filter}");
    }
}

#[test]
fn facets_count_what_the_total_counts() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    fill(server.client());
    let answer = search(server.client(), &json!({"year": {"$exists": true}}));
    let expected = json!({
        "status": [{"value": "open", "count": 2}, {"value": "closed", "count": 1}],
        "tags": [{"value": "login", "count": 2}, {"value": "web", "count": 1}],
    });
    assert_eq!(answer["facets"], expected);

    // With a threshold, only what reaches it; more than what is returned.
    let body =
        json!({"query": "The lamp is dark.", "top_k": 1, "min_score": 0.5, "facets": ["status"]});
    let answer = server.client().post("/search", body).ok();
    assert_eq!(answer["hits"][0]["id"], "e");
    assert_eq!(answer["total"]["value"], 2);
    assert_eq!(
        answer["facets"]["status"],
        json!([{"value": "closed", "count": 1}])
    );

    let body = json!({"id": "a", "facets": ["status"]});
    let answer = server.client().post("/search", body).ok();
    let expected = json!([
        {"value": null, "count": 1}, {"value": "closed", "count": 1}, {"value": "open", "count": 1},
    ]);
    assert_eq!(answer["facets"]["status"], expected);
}

#[test]
fn filters_follow_every_change_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    fill(client);
    let patch = json!({"metadata": {"status": "closed", "tags": null}}).to_string();
    let path = "/documents/a";
    let json_type = Some("application/json");
    client
        .send(ureq::http::Method::PATCH, path, json_type, patch.as_bytes())
        .ok();
    let replaced =
        json!({"documents": [{"id": "b", "text": "A new text.", "metadata": {"status": "new"}}]});
    client.post("/documents", replaced).ok();
    assert_eq!(client.delete("/documents/c").status, 204);
    let check = |client: &Client| {
        assert_eq!(ids(&search(client, &json!({"status": "closed"}))), ["a"]);
        assert_eq!(ids(&search(client, &json!({"status": "new"}))), ["b"]);
        assert_eq!(ids(&search(client, &json!({"status": "open"}))), [""; 0]);
        let facets = search(client, &json!({}))["facets"].clone();
        assert_eq!(facets["tags"], json!([]));
    };
    check(client);
    assert!(server.terminate().success());
    check(Server::start(folder.path()).client());
}

#[test]
fn deleting_by_filter_counts_first_and_deletes_what_passes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    fill(client);
    let delete = |body: Value| client.post("/documents/delete", body);
    let filter = json!({"status": {"$in": ["open", "closed"]}});
    let dry = delete(json!({"filter": filter, "dry_run": true})).ok();
    assert_eq!(dry["deleted"], 3);
    assert_eq!(
        client.get("/documents").ok()["documents"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    assert_eq!(delete(json!({"filter": filter})).ok()["deleted"], 3);
    assert_eq!(delete(json!({"filter": filter})).ok()["deleted"], 0);
    assert_eq!(ids(&search(client, &json!({}))), ["d", "e"]);

    for (body, pointer) in [
        (json!({"filter": {}}), "/filter"),
        (json!({"filter": {"a": {"$like": 1}}}), "/filter/a/$like"),
        (json!({"filter": null}), "/filter"),
        (json!({"filter": {"a": 1}, "ids": ["d"]}), ""),
        (json!({"dry_run": true}), ""),
    ] {
        assert_eq!(
            delete(body).problem(422, "invalid_request")["pointer"],
            pointer
        );
    }
    assert_eq!(ids(&search(client, &json!({}))), ["d", "e"]);
}

#[test]
fn bad_filters_and_facets_are_pointed_at() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServerOptions::new(folder.path())
        .setting("LIMITS__MAX_FILTER_DEPTH", 3)
        .setting("LIMITS__MAX_FILTER_VALUES", 2)
        .setting("LIMITS__MAX_FACETS", 1);
    let server = options.start();
    let refused = |field: &str, value: Value, pointer: &str| {
        let answer = server
            .client()
            .post("/search", json!({"query": "x", field: value}));
        let problem = answer.problem(422, "invalid_request");
        assert_eq!(problem["pointer"], pointer, "{problem}");
        problem["detail"].as_str().unwrap().to_owned()
    };
    refused("filter", json!([]), "/filter");
    refused("filter", json!("status = open"), "/filter");
    refused("filter", json!({"a": {"$near": 1}}), "/filter/a/$near");
    refused(
        "filter",
        json!({"$or": [{"a/b": {"$gt": true}}]}),
        "/filter/$or/0/a~1b/$gt",
    );
    let deep = json!({"$not": {"$not": {"$not": {"a": 1}}}});
    let detail = refused("filter", deep, "/filter/$not/$not/$not");
    assert!(detail.contains("limits.max_filter_depth = 3"), "{detail}");
    let detail = refused("filter", json!({"a": {"$in": [1, 2, 3]}}), "/filter/a/$in");
    assert!(detail.contains("limits.max_filter_values = 2"), "{detail}");
    let detail = refused("facets", json!(["a", "b"]), "/facets");
    assert!(detail.contains("limits.max_facets = 1"), "{detail}");
    refused("facets", json!(["a\\b"]), "/facets/0");
    refused("facets", json!([1]), "/facets/0");
}

#[test]
fn texts_that_are_too_long_for_the_index_are_filtered_rightly() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let start = "word ".repeat(100);
    let document = |n: usize| json!({"id": n.to_string(), "text": format!("text {n}"), "metadata": {"note": format!("{start}{n}")}});
    let documents = json!({"documents": (0..12).map(document).collect::<Vec<_>>()});
    server.client().post("/documents", documents).ok();
    let found = |condition: Value| {
        let answer = search(server.client(), &json!({"note": condition}));
        ids(&answer)
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(found(json!(format!("{start}7"))), ["7"]);
    assert_eq!(found(json!({"$contains": "word 1"})), ["1", "10", "11"]);
    assert_eq!(found(json!({"$gte": format!("{start}8")})), ["8", "9"]);
    let body = json!({"query": "x", "facets": ["note"]});
    let facets = server.client().post("/search", body).ok()["facets"]["note"].clone();
    assert_eq!(facets.as_array().unwrap().len(), 12);
}
