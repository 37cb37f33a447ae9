//! Requests that keep within every single limit, and are dear all the same.

use serde_json::{Value, json};
use ureq::http::Method;

use crate::attacker::Tally;
use crate::figures::Weight;
use crate::form::short_or_full;
use crate::trial::Trial;
use crate::victim::Victim;

/// Texts whose sizes add up to a body that is just allowed.
fn texts(count: usize, bytes: usize, unit: &str) -> Vec<String> {
    let text = unit.repeat(bytes / unit.len());
    (0..count).map(|n| format!("{n} {text}")).collect()
}

fn post(trial: &mut Trial, name: &str, path: &str, body: &Value) {
    let body = body.to_string().into_bytes();
    trial.repeat(name, Weight::One, |attacker| {
        Tally::from(attacker.post(path, &body))
    });
}

fn post_together(trial: &mut Trial, connections: usize, name: &str, path: &str, body: &Value) {
    let body = body.to_string().into_bytes();
    let name = format!("{connections} at once: {name}");
    trial.repeat(&name, Weight::Hundred, |attacker| {
        attacker.together(connections, |attacker, _| {
            Tally::from(attacker.post(path, &body))
        })
    });
}

#[test]
fn texts_that_fill_a_body_are_tokenised_within_bounds() {
    let mut trial = Trial::new(Victim::start);
    let many = texts(short_or_full(200, 2_000), 15_000, "a ");
    let long = texts(short_or_full(40, 400), 65_000, "a ");
    post(
        &mut trial,
        "texts of 15 kB to embed",
        "/embed",
        &json!({"inputs": many}),
    );
    let body = json!({"model": "m", "input": many});
    post(
        &mut trial,
        "texts of 15 kB to embed, as OpenAI",
        "/v1/embeddings",
        &body,
    );
    let body = json!({"source": "a", "targets": long});
    post(
        &mut trial,
        "texts of 65 kB to compare",
        "/similarity",
        &body,
    );
    let searches: Vec<_> = long
        .chunks(4)
        .map(|texts| json!({"positive": texts.iter().map(|text| json!({"text": text})).collect::<Vec<_>>()}))
        .collect();
    let path = "/collections/bystanders/search/batch";
    let body = json!({"searches": searches});
    post(&mut trial, "searches by 4 texts of 65 kB", path, &body);
    trial.verdict();
}

#[test]
fn documents_that_fill_a_body_are_stored_within_bounds() {
    let mut trial = Trial::new(Victim::start);
    let count = short_or_full(3, 6);
    for (kind, unit) in [("the same word", "word "), ("ideographs", "\u{4e00}")] {
        let document = |(n, text)| json!({"id": format!("d{n}"), "text": text});
        let documents: Vec<_> = texts(count, 1_040_000, unit)
            .into_iter()
            .enumerate()
            .map(document)
            .collect();
        let name = format!("{count} documents of 1 MiB of {kind}");
        post(
            &mut trial,
            &name,
            "/documents",
            &json!({"documents": documents}),
        );
        let lines: String = documents.iter().map(|line| format!("{line}\n")).collect();
        trial.repeat(&format!("{name}, as lines"), Weight::One, |attacker| {
            let head = crate::wire::head("POST", "/documents", "application/x-ndjson", lines.len());
            Tally::from(attacker.send(&head, lines.as_bytes()))
        });
    }
    trial.verdict();
}

/// A collection whose metadata repeats little and is long.
fn victim_of_long_values() -> Victim {
    let victim = Victim::start_small();
    let document = |n: usize| {
        let value = format!("{n} {}", "v".repeat(60_000));
        json!({"id": format!("v{n}"), "text": format!("text {n}"), "metadata": {"value": value}})
    };
    for start in 0..short_or_full(1, 3) {
        let documents: Vec<_> = (start * 100..(start + 1) * 100).map(document).collect();
        let body = json!({"documents": documents});
        let path = "/collections/values";
        victim
            .client()
            .send(Method::PUT, path, Some("application/json"), b"{}");
        victim
            .client()
            .post(&format!("{path}/documents"), body)
            .ok();
    }
    victim
}

#[test]
fn values_of_facets_and_groups_are_part_of_an_answer_as_much_as_hits() {
    let mut trial = Trial::new(victim_of_long_values);
    let path = "/collections/values/search/batch";
    let search = json!({"query": "text", "top_k": 1, "include": [], "facets": ["value"]});
    let body = json!({"searches": vec![search; 100]});
    post(&mut trial, "100 searches with facets of 60 kB", path, &body);
    let search = json!({"query": "text", "top_k": 100, "include": [], "group_by": "value"});
    let body = json!({"searches": vec![search; 100]});
    post(&mut trial, "100 searches with groups of 60 kB", path, &body);
    let search = json!({"query": "text", "top_k": 1, "include": [], "filter": {"value": {"$contains": "w"}}});
    let body = json!({"searches": vec![search; 100]});
    post(&mut trial, "100 searches for a part of 60 kB", path, &body);
    trial.verdict();
}

#[test]
fn numbers_in_answers_are_bounded_together() {
    let mut trial = Trial::new(Victim::start);
    let connections = short_or_full(20, 100);
    let search = json!({"query": "bystander", "top_k": 300, "include": ["vector"]});
    let body = json!({"searches": vec![search; 33]});
    let path = "/collections/bystanders/search/batch";
    post(&mut trial, "10 000 hits with vectors", path, &body);
    post_together(
        &mut trial,
        connections,
        "10 000 hits with vectors",
        path,
        &body,
    );
    let texts: Vec<String> = (0..1024).map(|n| format!("text {n}")).collect();
    let body = json!({"left": texts, "right": texts});
    post_together(
        &mut trial,
        connections,
        "a million scores",
        "/similarity",
        &body,
    );
    let texts: Vec<String> = (0..2048).map(|n| format!("text {n}")).collect();
    let body = json!({"inputs": texts});
    post_together(&mut trial, connections, "2 048 vectors", "/embed", &body);
    trial.verdict();
}

#[test]
fn filters_as_large_as_allowed_are_read_within_bounds() {
    let mut trial = Trial::new(Victim::start);
    let values: Vec<_> = (0..10_000).collect();
    let search = json!({"query": "a", "filter": {"n": {"$in": values}}});
    let body = json!({"searches": vec![search; 100]});
    let path = "/collections/bystanders/search/batch";
    post(
        &mut trial,
        "100 searches with 10 000 values each",
        path,
        &body,
    );
    let values: Vec<_> = (0..10_000)
        .map(|n| format!("{n} {}", "x".repeat(280)))
        .collect();
    let search = json!({"query": "a", "filter": {"n": {"$in": values}}});
    let body = json!({"searches": vec![search; 10]});
    post(
        &mut trial,
        "10 searches with 10 000 values of 280 bytes each",
        path,
        &body,
    );
    let ids: Vec<_> = (0..10_000)
        .map(|n| format!("{n} {}", "x".repeat(500)))
        .collect();
    post(
        &mut trial,
        "10 000 ids to delete",
        "/documents/delete",
        &json!({"ids": ids}),
    );
    trial.verdict();
}
