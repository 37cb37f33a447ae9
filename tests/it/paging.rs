//! Going on after a page of hits, with writes between the pages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use siamese_tests::{Client, Server, ServerOptions};

const DOCUMENTS: usize = 40;

/// Texts of which some are near to each other.
fn text(number: usize) -> String {
    let thing = ["lamp", "door", "cat", "loan", "password"][number % 5];
    let deed = ["flickers", "is open", "sleeps", "is due"][number % 4];
    format!("The {thing} of room {number} {deed}.")
}

fn documents(numbers: std::ops::Range<usize>) -> Value {
    let documents = numbers.map(|number| {
        json!({"id": format!("d{number}"), "text": text(number), "metadata": {"room": number % 6}})
    });
    json!({"documents": documents.collect::<Vec<_>>()})
}

fn reranker() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/encoder/tests/fixtures/models/cross-encoders/bert")
}

fn ids(answer: &Value) -> Vec<String> {
    let hits = answer["hits"].as_array().unwrap().iter();
    hits.map(|hit| hit["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Hits with their scores in millionths.
fn scored(answer: &Value) -> Vec<(i64, String)> {
    let hits = answer["hits"].as_array().unwrap().iter();
    let scores = hits.map(|hit| (hit["score"].as_f64().unwrap() * 1e6).round() as i64);
    scores.zip(ids(answer)).collect()
}

/// Follows the cursors to the end; `between` is called after each page.
fn pages(client: &Client, search: &Value, mut between: impl FnMut(usize)) -> Vec<Value> {
    let (mut pages, mut search) = (Vec::new(), search.clone());
    loop {
        let page = client.post("/search", search.clone()).ok();
        let next = page["next_cursor"].clone();
        pages.push(page);
        if next.is_null() {
            return pages;
        }
        assert!(pages.len() <= DOCUMENTS, "the pages do not end");
        between(pages.len());
        search["cursor"] = next;
    }
}

/// Searches in every way that has pages, three hits at a time.
fn searches() -> Vec<Value> {
    let query = "The lamp flickers.";
    vec![
        json!({"query": query, "top_k": 3}),
        json!({"query": query, "top_k": 3, "exact": true, "min_score": 0.2}),
        json!({"query": query, "top_k": 3, "filter": {"room": {"$lt": 4}}}),
        json!({"query": query, "top_k": 3, "mode": "lexical"}),
        json!({"query": query, "top_k": 3, "mode": "hybrid"}),
        json!({"query": query, "top_k": 3, "mode": "hybrid", "alpha": 0.3}),
        json!({"id": "d0", "top_k": 3}),
        json!({"positive": ["lamp", {"id": "d1"}], "negative": ["cat"], "top_k": 3}),
        json!({"query": query, "top_k": 3, "diversity": 0.5}),
        json!({"query": query, "top_k": 3, "group_by": "room", "group_size": 2}),
        json!({"query": query, "top_k": 3, "rerank": {"top_n": 20}}),
    ]
}

/// A server with all documents and a reranker.
fn filled_with_reranker(folder: &Path) -> Server {
    let server = ServerOptions::new(folder)
        .setting("RERANKER__MODEL", reranker().display())
        .start();
    let documents = documents(0..DOCUMENTS);
    server.client().post("/documents", documents).ok();
    server
}

#[test]
fn pages_make_the_list_that_one_search_returns() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled_with_reranker(folder.path());
    let client = server.client();
    for search in searches() {
        let pages = pages(client, &search, |_| {});
        let paged: Vec<(i64, String)> = pages.iter().flat_map(scored).collect();
        let mut whole = search.clone();
        let is_reranked = search.get("rerank").is_some();
        whole["top_k"] = json!(if is_reranked { 20 } else { DOCUMENTS });
        let whole = client.post("/search", whole).ok();
        // Equal scores are in the order of ids on each page.
        let in_order = |mut hits: Vec<(i64, String)>| {
            assert!(hits.is_sorted_by_key(|hit| -hit.0) || search.get("diversity").is_some());
            hits.sort();
            hits
        };
        assert_eq!(in_order(paged), in_order(scored(&whole)), "{search}");
        assert!(whole["next_cursor"].is_null(), "{search}");
        assert!(pages.len() >= 4, "{search} shows nothing");
        for page in &pages {
            assert_eq!(page["total"], pages[0]["total"], "{search}");
            let is_whole = ids(page).len() == 3 || page["next_cursor"].is_null();
            assert!(is_whole, "{search}");
        }
    }
}

#[test]
fn writes_between_pages_repeat_no_hit_and_hide_none_that_they_do_not_touch() {
    for search in searches() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerOptions::new(folder.path())
            .setting("RERANKER__MODEL", reranker().display())
            .start();
        let client = server.client();
        client.post("/documents", documents(0..DOCUMENTS)).ok();
        let undisturbed: Vec<String> = pages(client, &search, |_| {})
            .iter()
            .flat_map(ids)
            .collect();
        let mut touched = BTreeSet::new();
        let mut first_total = None;
        let pages = pages(client, &search, |page| {
            // Nearer to the query than all that was there.
            let new = json!({"id": format!("new{page}"), "text": "The lamp flickers.",
                "metadata": {"room": page % 6}});
            // Documents that are replaced and deleted, returned before or not.
            let (old, gone) = (
                format!("d{}", 2 + page * 7 % 30),
                format!("d{}", 2 + page * 11 % 30),
            );
            let replaced = json!({"id": old, "text": format!("The lamp flickers, {page}."),
                "metadata": {"room": 1}});
            client
                .post("/documents", json!({"documents": [new, replaced]}))
                .ok();
            assert!([204, 404].contains(&client.delete(&format!("/documents/{gone}")).status));
            touched.extend([old, gone]);
        });
        let mut returned = BTreeSet::new();
        for page in &pages {
            for id in ids(page) {
                assert!(!id.starts_with("new"), "{search}: {id} came later");
                assert!(returned.insert(id.clone()), "{search}: {id} came twice");
            }
            if page["total"]["relation"] == "exact" {
                let total = page["total"]["value"].as_u64();
                assert!(first_total.is_none_or(|first| total <= first), "{search}");
                first_total = Some(total);
            }
        }
        for id in undisturbed {
            let is_found = touched.contains(&id) || returned.contains(&id);
            assert!(is_found, "{search}: {id} was passed over");
        }
    }
}

#[test]
fn a_page_can_be_asked_for_again_and_may_have_another_size() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    client.post("/documents", documents(0..DOCUMENTS)).ok();
    let search = |body: Value| client.post("/search", body).ok();
    let whole = ids(&search(json!({"query": "lamp", "top_k": 30})));
    let first = search(json!({"query": "lamp", "top_k": 4, "offset": 2}));
    assert_eq!(ids(&first), whole[2..6]);
    let cursor = &first["next_cursor"];
    for _ in 0..2 {
        let body = json!({"query": "lamp", "top_k": 5, "cursor": cursor, "include": ["text"], "facets": ["room"]});
        let next = search(body);
        assert_eq!(ids(&next), whole[6..11]);
        assert_eq!(
            next["hits"][0]["text"],
            text(whole[6][1..].parse().unwrap())
        );
        assert_eq!(next["facets"]["room"].as_array().unwrap().len(), 6);
    }
    let searches = json!({"searches": [
        {"query": "lamp", "top_k": 2, "cursor": cursor},
        {"query": "door", "top_k": 2}
    ]});
    let batch = client.post("/search/batch", searches).ok();
    assert_eq!(ids(&batch["results"][0]), whole[6..8]);
    let door = json!({"query": "door", "top_k": 2, "cursor": batch["results"][1]["next_cursor"]});
    let expected = ids(&search(json!({"query": "door", "top_k": 4})));
    assert_eq!(ids(&search(door)), expected[2..]);
}

#[test]
fn what_scored_a_page_is_not_scored_again_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled_with_reranker(folder.path());
    let client = server.client();
    let scored = || -> f64 {
        let metrics = client.get("/metrics").text;
        let counted = metrics
            .lines()
            .filter(|line| line.starts_with("siamese_encoded_tokens_total"));
        let numbers = counted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        numbers.sum()
    };
    let search = json!({"query": "The lamp flickers.", "top_k": 3, "rerank": {"top_n": 20}});
    let first = client.post("/search", search.clone()).ok();
    let before = scored();
    assert!(before > 0.0, "{}", client.get("/metrics").text);
    let mut next = search;
    next["cursor"] = first["next_cursor"].clone();
    client.post("/search", next).ok();
    assert_eq!(scored(), before);
}

#[test]
fn a_cursor_that_does_not_fit_is_refused_and_an_old_one_has_expired() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("LIMITS__MAX_OFFSET", 6)
        .start();
    let client = server.client();
    client.post("/documents", documents(0..DOCUMENTS)).ok();
    let cursor = |body: Value| client.post("/search", body).ok()["next_cursor"].clone();
    let first = cursor(json!({"query": "lamp", "top_k": 4}));
    let refused = |body: Value| {
        let problem = client.post("/search", body).problem(422, "invalid_request");
        assert_eq!(problem["pointer"], "/cursor", "{problem}");
        problem["detail"].as_str().unwrap().to_owned()
    };
    for other in [
        json!({"query": "lamps", "cursor": first}),
        json!({"query": "lamp", "mode": "lexical", "cursor": first}),
        json!({"query": "lamp", "filter": {"room": 1}, "cursor": first}),
        json!({"query": "lamp", "offset": 1, "cursor": first}),
        json!({"query": "lamp", "auto_cut": true, "cursor": first}),
        json!({"query": "lamp", "cursor": "nonsense nonsense nonsense nonsense"}),
    ] {
        refused(other);
    }
    let second = cursor(json!({"query": "lamp", "top_k": 4, "cursor": first}));
    let detail = refused(json!({"query": "lamp", "cursor": second}));
    assert!(detail.contains("limits.max_offset = 6"), "{detail}");
    let unknown = json!({"query": "lamp", "cursor": "0190a0a0a0a070008000000000000000"});
    let problem = client
        .post("/search", unknown)
        .problem(410, "cursor_expired");
    assert_eq!(problem["pointer"], "/cursor");
    // A collection made anew counts its documents anew.
    assert_eq!(client.delete("/collections/default").status, 204);
    client.post("/documents", documents(0..DOCUMENTS)).ok();
    let old = json!({"query": "lamp", "cursor": first});
    client.post("/search", old).problem(410, "cursor_expired");
}

#[test]
fn cursors_expire_after_their_lifetime() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("LIMITS__CURSOR_LIFETIME_MS", 200)
        .start();
    let client = server.client();
    client.post("/documents", documents(0..DOCUMENTS)).ok();
    let search = json!({"query": "lamp", "top_k": 4});
    let mut next = search.clone();
    next["cursor"] = client.post("/search", search).ok()["next_cursor"].clone();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let problem = client.post("/search", next).problem(410, "cursor_expired");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("limits.cursor_lifetime_ms = 200"),
        "{detail}"
    );
}
