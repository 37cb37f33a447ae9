//! Several searches at once, examples, diversity, groups, and the cut.

use serde_json::{Value, json};
use siamese_tests::{Client, Server, ServerOptions};

fn fill(client: &Client) {
    let documents = json!({"documents": [
        {"id": "cat-1", "text": "A cat sleeps on the sofa.", "metadata": {"kind": "cat", "by": {"name": "Ann"}}},
        {"id": "cat-2", "text": "The cat is sleeping on a sofa.", "metadata": {"kind": "cat", "by": {"name": "Bob"}}},
        {"id": "kitten", "text": "Kittens play with a ball of wool.", "metadata": {"kind": "cat", "by": {"name": "Ann"}}},
        {"id": "dog", "text": "The dog barks at the postman.", "metadata": {"kind": "dog", "by": {"name": "Bob"}}},
        {"id": "tax", "text": "The tax return is due in May.", "metadata": {"kind": 1}},
        {"id": "loan", "text": "The bank raises the interest on loans.", "metadata": {"kind": "1"}},
        {"id": "bare", "text": "Cats and dogs are pets."},
    ]});
    client.post("/documents", documents).ok();
}

fn ids(answer: &Value) -> Vec<&str> {
    let hits = answer["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["id"].as_str().unwrap()).collect()
}

#[test]
fn a_batch_answers_as_its_searches_do_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    fill(client);
    let searches = [
        json!({"query": "sleeping cat", "top_k": 3}),
        json!({"id": "tax", "top_k": 2, "offset": 1}),
        json!({"query": "money", "include": ["text"]}),
        json!({"positive": ["dog"], "top_k": 1}),
    ];
    let batch = client
        .post("/search/batch", json!({"searches": searches}))
        .ok();
    let results = batch["results"].as_array().unwrap();
    assert_eq!(results.len(), searches.len());
    for (result, search) in results.iter().zip(searches) {
        let alone = client.post("/search", search).ok();
        assert_eq!(ids(result), ids(&alone));
        assert_eq!(result["total"], alone["total"]);
    }
}

#[test]
fn one_bad_search_fails_the_batch_and_is_pointed_at() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("LIMITS__MAX_SEARCHES_PER_BATCH", 4)
        .start();
    let client = server.client();
    fill(client);
    let good = json!({"query": "cat"});
    let pointer = |bad: Value, status, code| {
        let searches = json!({"searches": [good, good, good, bad]});
        client.post("/search/batch", searches).problem(status, code)["pointer"].clone()
    };
    for (bad, expected) in [
        (json!({"query": " "}), "/searches/3/query"),
        (json!({"query": "x", "top_k": 0}), "/searches/3/top_k"),
        (json!({"query": "x", "top_k": "1"}), "/searches/3/top_k"),
        (json!({"vector": [1.0]}), "/searches/3/vector"),
        (json!({"query": "x", "nonsense": 1}), "/searches/3/nonsense"),
        (json!({}), "/searches/3"),
    ] {
        assert_eq!(pointer(bad, 422, "invalid_request"), expected);
    }
    assert_eq!(
        pointer(json!({"id": "nowhere"}), 404, "document_not_found"),
        "/searches/3/id"
    );
    for searches in [json!([]), json!([good, good, good, good, good])] {
        let problem = client.post("/search/batch", json!({"searches": searches}));
        assert_eq!(
            problem.problem(422, "invalid_request")["pointer"],
            "/searches"
        );
    }
}

#[test]
fn examples_draw_towards_and_away_and_are_left_out_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    fill(client);
    let by_two = client
        .post(
            "/search",
            json!({"positive": [{"id": "cat-1"}, {"id": "kitten"}]}),
        )
        .ok();
    assert_eq!(ids(&by_two)[0], "cat-2");
    assert!(!ids(&by_two).contains(&"cat-1") && !ids(&by_two).contains(&"kitten"));
    assert_eq!(by_two["total"]["value"], 5);

    let position = |answer: &Value, id: &str| ids(answer).iter().position(|hit| *hit == id);
    let pets = client.post("/search", json!({"positive": ["pets"]})).ok();
    let no_dogs = json!({"positive": ["pets"], "negative": [{"text": "a barking dog"}]});
    let no_dogs = client.post("/search", no_dogs).ok();
    assert!(
        position(&no_dogs, "dog") > position(&pets, "dog"),
        "{no_dogs}"
    );

    let refused =
        |body| client.post("/search", body).problem(422, "invalid_request")["pointer"].clone();
    assert_eq!(refused(json!({"positive": []})), "/positive");
    assert_eq!(refused(json!({"negative": ["x"]})), "/negative");
    assert_eq!(refused(json!({"positive": ["x"], "query": "y"})), "");
    assert_eq!(
        refused(json!({"positive": ["x"], "negative": ["x", " "]})),
        "/negative/1"
    );
    let problem = client
        .post("/search", json!({"positive": ["x", {"id": "nowhere"}]}))
        .problem(404, "document_not_found");
    assert_eq!(problem["pointer"], "/positive/1/id");
}

#[test]
fn diversity_puts_near_copies_apart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    fill(client);
    let search = |body: Value| client.post("/search", body).ok();
    let plain = search(json!({"query": "a sleeping cat", "top_k": 4}));
    assert_eq!(
        ids(&plain)[..2]
            .iter()
            .filter(|id| id.starts_with("cat-"))
            .count(),
        2
    );
    let zero = search(json!({"query": "a sleeping cat", "top_k": 4, "diversity": 0}));
    assert_eq!(ids(&zero), ids(&plain));
    let diverse = search(json!({"query": "a sleeping cat", "top_k": 4, "diversity": 0.6}));
    assert_eq!(ids(&diverse)[0], ids(&plain)[0]);
    assert!(!ids(&diverse)[1].starts_with("cat-"), "{diverse}");
    let rest =
        search(json!({"query": "a sleeping cat", "top_k": 2, "offset": 2, "diversity": 0.6}));
    assert_eq!(ids(&rest), ids(&diverse)[2..4]);
}

#[test]
fn diversity_finds_something_else_behind_hundreds_of_copies() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    fill(client);
    for first in [0, 200] {
        let copy = |n: usize| json!({"id": format!("copy-{n}"), "text": "A cat sleeps."});
        let copies: Vec<Value> = (first..first + 200).map(copy).collect();
        client.post("/documents", json!({"documents": copies})).ok();
    }
    let body = json!({"query": "A cat sleeps.", "top_k": 4, "diversity": 0.7});
    let diverse = client.post("/search", body).ok();
    let copies = ids(&diverse);
    let copies = copies.iter().filter(|id| id.starts_with("copy-")).count();
    assert_eq!(copies, 1, "{diverse}");
    let body = json!({"query": "A cat sleeps.", "top_k": 4, "diversity": 0});
    let plain = client.post("/search", body).ok();
    assert!(ids(&plain).iter().all(|id| id.starts_with("copy-")));
}

#[test]
fn groups_keep_their_best_hits() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    fill(client);
    let search = |body: Value| client.post("/search", body).ok();
    let all = search(json!({"query": "sleeping cat"}));
    let grouped = search(json!({"query": "sleeping cat", "group_by": "kind"}));
    // The number 1 and the text "1" are two groups; a document without the field is in none.
    assert_eq!(grouped["hits"].as_array().unwrap().len(), 4);
    assert_eq!(grouped["total"], all["total"]);
    assert_eq!(grouped["hits"][0]["group"], "cat");
    assert_eq!(ids(&grouped)[0], ids(&all)[0]);
    let pairs = search(json!({"query": "sleeping cat", "group_by": "kind", "group_size": 2}));
    assert_eq!(ids(&pairs)[..2], ids(&all)[..2]);
    let nested =
        search(json!({"query": "sleeping cat", "group_by": "by.name", "top_k": 1, "offset": 1}));
    assert_eq!(nested["hits"].as_array().unwrap().len(), 1);
    assert_eq!(
        search(json!({"query": "x", "group_by": "no.such"}))["hits"],
        json!([])
    );
}

#[test]
fn auto_cut_ends_before_the_largest_gap() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    fill(client);
    let body = json!({"query": "The cat sleeps on the sofa.", "auto_cut": true});
    let answer = client.post("/search", body).ok();
    let mut found = ids(&answer);
    found.sort_unstable();
    assert_eq!(found, ["cat-1", "cat-2"]);
    assert_eq!(answer["total"]["value"], 7);
}

#[test]
fn wishes_that_do_not_go_together_are_refused_and_pointed_at() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    for (extra, pointer) in [
        (json!({"diversity": 1.5}), "/diversity"),
        (json!({"diversity": 0.5, "top_k": 201}), "/diversity"),
        (json!({"diversity": 0.5, "auto_cut": true}), "/auto_cut"),
        (json!({"offset": 1, "auto_cut": true}), "/auto_cut"),
        (json!({"group_size": 2}), "/group_size"),
        (json!({"group_by": "a", "group_size": 0}), "/group_size"),
        (json!({"group_by": ""}), "/group_by"),
        (json!({"include": ["passages"], "top_k": 101}), "/top_k"),
    ] {
        let mut body = json!({"query": "x"});
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let problem = client.post("/search", body).problem(422, "invalid_request");
        assert_eq!(problem["pointer"], pointer);
    }
}
