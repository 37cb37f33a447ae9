//! Small requests for large answers.

use serde_json::json;
use ureq::http::Method;

use crate::attacker::Tally;
use crate::figures::Weight;
use crate::form::short_or_full;
use crate::trial::Trial;
use crate::victim::Victim;
use crate::wire::bare;

const TEXT_BYTES: usize = 400_000;
const METADATA_BYTES: usize = 60_000;

fn documents() -> usize {
    short_or_full(50, 300)
}

/// Documents that take some seconds to prepare, each near what limits allow.
pub(crate) fn victim_of_large_documents() -> Victim {
    let victim = Victim::start_small();
    let settings = br#"{"chunking": {"mode": "off"}, "lexical": false}"#;
    let json = Some("application/json");
    victim
        .client()
        .send(Method::PUT, "/collections/large", json, settings);
    // Words that no vocabulary has, with a quote each, which JSON makes two bytes of.
    let word = format!("{}\" ", "x".repeat(120));
    let text = word.repeat(TEXT_BYTES / word.len());
    let filling = "\"y".repeat(METADATA_BYTES / 3);
    for n in 0..documents() {
        let document = json!({"id": format!("large{n}"), "text": format!("{n} {text}"),
            "metadata": {"n": n, "filling": filling}});
        let body = json!({"documents": [document]});
        victim
            .client()
            .post("/collections/large/documents", body)
            .ok();
    }
    victim
}

fn searches(count: usize, include: &str) -> Vec<u8> {
    let search = json!({"query": "x", "top_k": documents(), "include": [include]});
    json!({"searches": vec![search; count]})
        .to_string()
        .into_bytes()
}

#[test]
fn a_small_request_for_a_large_answer_is_bounded() {
    let mut trial = Trial::new(victim_of_large_documents);
    let batch = "/collections/large/search/batch";
    // With the longest texts 1.2 GB, and twice that when the quotes are escaped.
    let count = 3000 / documents();
    for (name, include) in [
        ("texts", "text"),
        ("metadata", "metadata"),
        ("passages", "passages"),
    ] {
        let body = searches(count.min(100), include);
        let name = format!("{} hits with {name}", count.min(100) * documents());
        trial.repeat(&name, Weight::One, |attacker| {
            Tally::from(attacker.post(batch, &body))
        });
    }
    let one = json!({"query": "x", "top_k": documents(), "include": ["text", "metadata"]});
    let one = one.to_string().into_bytes();
    trial.repeat("one search, all texts", Weight::One, |attacker| {
        Tally::from(attacker.post("/collections/large/search", &one))
    });
    let page = "/collections/large/documents?limit=1000&include=text";
    trial.repeat("one page of all texts", Weight::One, |attacker| {
        Tally::from(attacker.get(page))
    });
    trial.repeat("one page of all texts, HEAD", Weight::One, |attacker| {
        Tally::from(attacker.send(&bare("HEAD", page), b""))
    });
    for coding in ["br", "gzip"] {
        let head = bare("GET", page).replacen(
            "\r\n\r\n",
            &format!("\r\naccept-encoding: {coding}\r\n\r\n"),
            1,
        );
        trial.repeat(
            &format!("one page of all texts in {coding}"),
            Weight::One,
            |attacker| Tally::from(attacker.send(&head, b"")),
        );
    }
    trial.verdict();
}

#[test]
fn large_answers_to_many_at_once_are_bounded_together() {
    let mut trial = Trial::new(victim_of_large_documents);
    let connections = short_or_full(20, 100);
    let page = "/collections/large/documents?limit=1000&include=text";
    let name = format!("{connections} pages of all texts at once");
    trial.repeat(&name, Weight::Hundred, |attacker| {
        attacker.together(connections, |attacker, _| Tally::from(attacker.get(page)))
    });
    let one = json!({"query": "x", "top_k": documents(), "include": ["text", "metadata"]});
    let one = one.to_string().into_bytes();
    let name = format!("{connections} searches for all texts at once");
    trial.repeat(&name, Weight::Hundred, |attacker| {
        attacker.together(connections, |attacker, _| {
            Tally::from(attacker.post("/collections/large/search", &one))
        })
    });
    let head = bare("GET", page).replacen("\r\n\r\n", "\r\naccept-encoding: br\r\n\r\n", 1);
    let name = format!("{connections} pages of all texts in br");
    trial.repeat(&name, Weight::Hundred, |attacker| {
        attacker.together(connections, |attacker, _| {
            Tally::from(attacker.send(&head, b""))
        })
    });
    trial.verdict();
}

#[test]
fn a_document_of_thousands_of_passages_costs_its_reader_only() {
    let mut trial = Trial::new(|| {
        let victim = Victim::start_small();
        let document = json!({"id": "long", "text": "a ".repeat(20_000)});
        let body = json!({"documents": [document]});
        victim.client().post("/documents", body).ok();
        victim
    });
    trial.repeat(
        "100 times all vectors of a document",
        Weight::Hundred,
        |attacker| {
            attacker.together(100, |attacker, _| {
                Tally::from(attacker.get("/documents/long?include=vectors"))
            })
        },
    );
    trial.verdict();
}

#[test]
fn cursors_by_the_thousand_take_no_more_than_their_room() {
    let mut trial = Trial::new(Victim::start);
    let body = br#"{"query": "a", "top_k": 200}"#;
    let rounds = short_or_full(20, 100);
    let name = format!("{} cursors", 50 * rounds);
    trial.once(&name, Weight::Hundred, |attacker| {
        attacker.together(50, |attacker, _| {
            let mut tally = Tally::default();
            for _ in 0..rounds {
                tally.add_reply(&attacker.post("/collections/bystanders/search", body));
            }
            tally
        })
    });
    trial.verdict();
}

#[test]
fn the_dearest_searches_leave_room_for_others() {
    let mut trial = Trial::new(Victim::start);
    let search = json!({"query": "bystander", "top_k": 100, "exact": true, "ef": 10000,
        "include": ["text", "metadata", "passages", "vector", "highlights"]});
    let body = json!({"searches": vec![search; 100]})
        .to_string()
        .into_bytes();
    let path = "/collections/bystanders/search/batch";
    trial.repeat(
        "100 exact searches with all parts",
        Weight::One,
        |attacker| Tally::from(attacker.post(path, &body)),
    );
    trial.repeat("8 batches of them at once", Weight::Hundred, |attacker| {
        attacker.together(8, |attacker, _| Tally::from(attacker.post(path, &body)))
    });
    let long = json!({"query": "e\u{301}".repeat(20_000), "top_k": 1});
    let body = json!({"searches": vec![long; 100]})
        .to_string()
        .into_bytes();
    trial.repeat(
        "100 searches for 60 kB of accents",
        Weight::One,
        |attacker| Tally::from(attacker.post(path, &body)),
    );
    let filter = json!({"$or": vec![json!({"$and": vec![json!({"$not": {"a.b.c": {"$contains": "x"}}}); 7]}); 15]});
    let search = json!({"query": "a", "filter": filter, "facets": (0..16).map(|n| format!("f{n}")).collect::<Vec<_>>()});
    let body = json!({"searches": vec![search; 100]})
        .to_string()
        .into_bytes();
    trial.repeat(
        "100 searches with filters as large as allowed",
        Weight::One,
        |attacker| Tally::from(attacker.post(path, &body)),
    );
    let texts: Vec<String> = (0..1024).map(|n| format!("text {n}")).collect();
    let body = json!({"left": texts, "right": texts})
        .to_string()
        .into_bytes();
    trial.repeat("a million scores of similarity", Weight::One, |attacker| {
        Tally::from(attacker.post("/similarity", &body))
    });
    trial.verdict();
}
