//! Numbers come back as they were sent, and one pair has one score.

use serde_json::{Value, json};
use siamese_tests::ServerOptions;
use ureq::http::Method;

/// Doubles with all 53 bits in use, drawn by a multiplicative generator (Lehmer, modulus 2^31 - 1).
fn doubles(count: usize) -> Vec<f64> {
    let mut state: u64 = 20_240_501;
    let mut next = || {
        state = state * 48_271 % 0x7fff_ffff;
        state as f64
    };
    let mut double = || (next() / next()) * 10_f64.powi((next() % 40.0) as i32 - 20);
    (0..count).map(|_| double()).collect()
}

#[test]
fn fractions_come_back_bit_for_bit_and_are_found_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    let numbers = doubles(400);
    let documents = numbers.iter().enumerate();
    let documents: Vec<Value> = documents
        .map(|(place, number)| {
            json!({"id": format!("n{place}"), "text": "a", "metadata": {"number": number}})
        })
        .collect();
    client
        .post("/documents", json!({"documents": documents}))
        .ok();
    for (place, number) in numbers.iter().enumerate() {
        // Another key is patched, once and again; the number stays.
        for round in 0..2 {
            let patch = json!({"metadata": {"round": round}});
            client
                .try_json(Method::PATCH, &format!("/documents/n{place}"), &patch)
                .unwrap()
                .ok();
        }
        let stored = client.get(&format!("/documents/n{place}")).ok();
        let stored = stored["metadata"]["number"].as_f64().unwrap();
        assert_eq!(stored.to_bits(), number.to_bits(), "{number:e}");
    }
    for (place, number) in numbers.iter().enumerate().step_by(8) {
        let search = json!({"query": "a", "filter": {"number": number}, "facets": ["number"]});
        let found = client.post("/search", search).ok();
        assert_eq!(found["hits"][0]["id"], format!("n{place}"), "{number:e}");
        let facet = found["facets"]["number"][0]["value"].as_f64().unwrap();
        assert_eq!(facet.to_bits(), number.to_bits());
    }
}

#[test]
fn an_integer_that_would_be_rounded_is_refused_by_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let body = r#"{"documents": [{"id": "a", "text": "a", "metadata": {"n": [1, 12345678901234567890123]}}]}"#;
    let json = Some("application/json");
    let answer = server
        .client()
        .send(Method::POST, "/documents", json, body.as_bytes());
    let problem = answer.problem(422, "invalid_request");
    assert_eq!(problem["pointer"], "/documents/0/metadata/n/1");
}

#[test]
fn a_pair_has_one_score_and_equals_have_exactly_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    let text = |n: usize| format!("{} lamps and {} chairs stand in room {n}.", n * 7, n * n);
    let documents = (0..30).map(|n| json!({"id": n.to_string(), "text": text(n)}));
    let documents: Vec<Value> = documents.collect();
    client
        .post("/documents", json!({"documents": documents}))
        .ok();
    for n in 0..30 {
        let search = json!({"query": text(n), "min_score": 1, "include": ["passages"]});
        let found = client.post("/search", search).ok();
        let ids = found["hits"].as_array().unwrap().iter();
        let id = n.to_string();
        let hit = ids.clone().find(|hit| hit["id"] == id.as_str());
        let hit = hit.unwrap_or_else(|| panic!("{n}: {found}"));
        assert_eq!(hit["score"], 1.0);
        assert_eq!(hit["passages"][0]["score"], 1.0);
        for metric in ["cosine", "dot"] {
            let pair = json!({"pairs": [[text(n), {"id": n.to_string()}]], "metric": metric});
            assert_eq!(client.post("/similarity", pair).ok()["scores"][0], 1.0);
        }
        for metric in ["euclidean", "manhattan"] {
            let pair = json!({"pairs": [[text(n), text(n)]], "metric": metric});
            let scores = client.post("/similarity", pair).ok()["scores"].to_string();
            assert_eq!(scores, "[0.0]", "{metric}");
        }
    }
    let search = json!({"query": text(3), "top_k": 30, "include": ["passages"]});
    let found = client.post("/search", search).ok();
    for hit in found["hits"].as_array().unwrap() {
        let pair = json!({"pairs": [[{"id": hit["id"]}, text(3)]]});
        let compared = client.post("/similarity", pair).ok();
        assert_eq!(compared["scores"][0], hit["score"]);
        assert_eq!(hit["passages"][0]["score"], hit["score"]);
    }
}

#[test]
fn groups_are_named_by_the_values_that_filters_and_facets_know() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    let documents = json!({"documents": [
        {"id": "a", "text": "lamp", "metadata": {"n": 1, "tags": ["x", "y"]}},
        {"id": "b", "text": "lamp", "metadata": {"n": 1.0, "tags": ["x"]}},
        {"id": "c", "text": "lamp", "metadata": {"n": 0, "tags": "y"}},
        {"id": "d", "text": "lamp", "metadata": {"n": -0.0, "tags": []}},
        {"id": "e", "text": "lamp", "metadata": {"n": "1", "tags": ["z"]}},
    ]});
    client.post("/documents", documents).ok();
    let groups = |field: &str, size: usize| {
        let search = json!({"query": "lamp", "group_by": field, "group_size": size});
        let found = client.post("/search", search).ok();
        let hits = found["hits"].as_array().unwrap().iter();
        let mut groups: Vec<String> = hits.map(|hit| hit["group"].to_string()).collect();
        groups.sort();
        groups
    };
    assert_eq!(groups("n", 1), ["\"1\"", "0", "1"]);
    assert_eq!(groups("n", 2), ["\"1\"", "0", "0", "1", "1"]);
    // The first is a hit of "x" or of "y", whichever has room.
    assert_eq!(groups("tags", 1), ["\"x\"", "\"y\"", "\"z\""]);
    assert_eq!(groups("tags", 2), ["\"x\"", "\"x\"", "\"y\"", "\"z\""]);
}
