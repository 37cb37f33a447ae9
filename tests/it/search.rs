//! Searching by text, by vector and by stored document.

use serde_json::{Value, json};
use siamese_tests::{Client, Server};

fn fill(client: &Client) {
    let documents = json!({"documents": [
        {"id": "password", "title": "Password", "text": "I cannot sign in, my password is refused.",
         "metadata": {"kind": "ticket"}},
        {"id": "login", "text": "Logging in fails although my credentials are right."},
        {"id": "battery", "text": "The battery of my lamp is empty after one day."},
        {"id": "recipe", "text": "Boil the potatoes in salted water for twenty minutes."},
    ]});
    client.post("/documents", documents).ok();
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["id"].as_str().unwrap())
        .collect()
}

#[test]
fn meaning_is_found_without_shared_words() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    fill(server.client());
    let answer = server
        .client()
        .post("/search", json!({"query": "dinner instructions"}))
        .ok();
    assert_eq!(ids(&answer)[0], "recipe");
    assert_eq!(
        answer["total"],
        json!({"value": 4, "relation": "exact", "counted": "passing_filter"})
    );
    let scores: Vec<f64> = answer["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| h["score"].as_f64().unwrap())
        .collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
}

#[test]
fn a_page_of_hits_continues_where_the_one_before_ended() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    fill(server.client());
    let search = |body| server.client().post("/search", body).ok();
    let all = search(json!({"query": "help"}));
    let second = search(json!({"query": "help", "top_k": 2, "offset": 1}));
    assert_eq!(ids(&second), ids(&all)[1..3]);
}

#[test]
fn a_threshold_leaves_out_hits_and_counts_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    fill(server.client());
    let body = json!({"query": "my password is refused", "min_score": 0.5});
    let answer = server.client().post("/search", body).ok();
    let hits = answer["hits"].as_array().unwrap();
    assert!(!hits.is_empty() && hits.len() < 4);
    assert!(hits.iter().all(|hit| hit["score"].as_f64().unwrap() >= 0.5));
    assert_eq!(answer["total"]["value"], hits.len());
}

#[test]
fn a_stored_document_finds_its_like_and_not_itself() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    fill(server.client());
    let answer = server
        .client()
        .post("/search", json!({"id": "password"}))
        .ok();
    assert_eq!(ids(&answer)[0], "login");
    assert_eq!(answer["total"]["value"], 3);
    server
        .client()
        .post("/search", json!({"id": "nowhere"}))
        .problem(404, "document_not_found");
}

#[test]
fn a_documents_own_vector_finds_it_with_score_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    fill(server.client());
    let stored = server
        .client()
        .get("/documents/recipe?include=vectors")
        .ok();
    let body = json!({"vector": stored["passages"][0]["vector"], "top_k": 1});
    let answer = server.client().post("/search", body).ok();
    assert_eq!(ids(&answer), ["recipe"]);
    assert!((answer["hits"][0]["score"].as_f64().unwrap() - 1.0).abs() < 1e-5);
}

#[test]
fn include_decides_what_a_hit_carries() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    fill(server.client());
    let hit = |include: Value| {
        let mut body = json!({"query": "my password is refused", "top_k": 1});
        if !include.is_null() {
            body["include"] = include;
        }
        server.client().post("/search", body).ok()["hits"][0].clone()
    };
    assert_eq!(hit(Value::Null)["metadata"]["kind"], "ticket");
    let bare = hit(json!([]));
    assert!(bare.get("metadata").is_none() && bare.get("text").is_none());
    assert_eq!(bare["title"], "Password");
    assert_eq!(
        bare["passage"]["text"],
        "I cannot sign in, my password is refused."
    );
    let full = hit(json!(["text", "metadata", "passages", "vector"]));
    assert_eq!(full["text"], full["passage"]["text"]);
    assert_eq!(full["vector"].as_array().unwrap().len(), 384);
    assert_eq!(full["passages"][0]["start"], 0);
}

#[test]
fn an_empty_collection_answers_with_no_hits() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let answer = server
        .client()
        .post("/search", json!({"query": "anything"}))
        .ok();
    assert_eq!(answer["hits"], json!([]));
    assert_eq!(
        answer["total"],
        json!({"value": 0, "relation": "exact", "counted": "passing_filter"})
    );
}

#[test]
fn an_exact_search_and_one_with_its_own_ef_find_the_same_here() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let documents = json!({"documents": [{"id": "a", "text": "one"}, {"id": "b", "text": "two"}]});
    server.client().post("/documents", documents).ok();
    let search = |body| server.client().post("/search", body);
    let hits = search(json!({"query": "one"})).ok()["hits"].clone();
    assert_eq!(
        search(json!({"query": "one", "exact": true})).ok()["hits"],
        hits
    );
    assert_eq!(
        search(json!({"query": "one", "ef": 10_000})).ok()["hits"],
        hits
    );
    for ef in [0, 10_001] {
        let problem = search(json!({"query": "one", "ef": ef})).problem(422, "invalid_request");
        assert_eq!(problem["pointer"], "/ef");
    }
}

#[test]
fn a_search_by_address_is_answered_as_one_by_body() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let documents: Vec<Value> = (0..20)
        .map(|n| json!({"id": n.to_string(), "text": format!("rain {n}"), "metadata": {"n": n, "odd": n % 2}}))
        .collect();
    client
        .post("/documents", json!({"documents": documents}))
        .ok();
    for (address, body) in [
        ("q=rain", json!({"query": "rain"})),
        (
            "query=rain+7&top_k=2&offset=1",
            json!({"query": "rain 7", "top_k": 2, "offset": 1}),
        ),
        (
            "q=rain&filter=%7B%22n%22:%7B%22$gte%22:5%7D%7D&facets=odd&include=text,metadata",
            json!({"query": "rain", "filter": {"n": {"$gte": 5}}, "facets": ["odd"],
                   "include": ["text", "metadata"]}),
        ),
        ("id=3&exact=true&top_k=", json!({"id": "3", "exact": true})),
        (
            "q=rain&mode=lexical&min_score=0.001",
            json!({"query": "rain", "mode": "lexical", "min_score": 0.001}),
        ),
    ] {
        for prefix in ["", "/collections/default"] {
            let by_address = client.get(&format!("{prefix}/search?{address}")).ok();
            let by_body = client.post(&format!("{prefix}/search/"), body.clone()).ok();
            for part in ["hits", "total", "facets"] {
                assert_eq!(by_address[part], by_body[part], "{address} {part}");
            }
        }
    }
    for (address, pointer) in [
        ("", ""),
        ("q=", "/query"),
        ("q=rain&top_k=0", "/top_k"),
        ("q=rain&top_k=many", "/top_k"),
        ("q=rain&filter=%7B", "/filter"),
        (
            "q=rain&filter=%7B%22a%22:%7B%22$x%22:1%7D%7D",
            "/filter/a/$x",
        ),
        ("q=rain&nonsense=1", "/nonsense"),
        ("q=rain&query=rain", "/query"),
    ] {
        let problem = client.get(&format!("/search?{address}"));
        let problem = problem.problem(422, "invalid_request");
        assert_eq!(
            problem["pointer"].as_str().unwrap_or_default(),
            pointer,
            "{address}"
        );
    }
}
