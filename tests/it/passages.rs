//! Long documents: split, found by any part, and told apart.

use serde_json::{Value, json};
use siamese_tests::{Client, Server, ServerOptions};
use ureq::http::Method;

const FACT: &str = "The spare key of the observatory hangs behind the blue barometer.";

/// Words of sentences about gardening, in paragraphs, with a fact at the very end.
fn long_text(words: usize) -> String {
    let sentences = [
        "In spring the beds are dug over and the compost is spread before the first seeds go in.",
        "Tomatoes want warmth, so they stay behind glass until the nights are mild.",
        "Beans climb along strings, while lettuce is content with half a day of shade.",
        "Whoever waters in the morning keeps the leaves dry and the snails away.",
        "In autumn the last apples are laid out on straw, none touching its neighbour.",
    ];
    let mut text = String::new();
    let mut count = 0;
    for (sentence, place) in sentences.iter().cycle().zip(1..) {
        if count >= words {
            break;
        }
        text.push_str(sentence);
        text.push_str(if place % 6 == 0 { "\n\n" } else { " " });
        count += sentence.split_whitespace().count();
    }
    format!("{}\n\n{FACT}", text.trim_end())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write json!({..}) in place"
)]
fn store(client: &Client, path: &str, document: Value) -> Value {
    client.post(path, json!({"documents": [document]})).ok()["results"][0].clone()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write json!({..}) in place"
)]
fn put(client: &Client, name: &str, chunking: Value) -> siamese_tests::Answer {
    client.send(
        Method::PUT,
        &format!("/collections/{name}"),
        Some("application/json"),
        json!({"chunking": chunking}).to_string().as_bytes(),
    )
}

#[test]
fn a_fact_in_the_last_paragraph_of_a_long_document_is_found_with_its_span() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let text = long_text(5000);
    let stored = store(
        client,
        "/documents",
        json!({"id": "long", "title": "Notes", "text": text}),
    );
    let passages = stored["passages"].as_u64().unwrap();
    assert!((50..80).contains(&passages), "{stored}");
    assert!(stored.get("warnings").is_none(), "{stored}");
    store(
        client,
        "/documents",
        json!({"id": "short", "text": "A barometer measures air pressure."}),
    );

    let query = json!({"query": "Where is the observatory's key?", "include": ["passages"]});
    let answer = client.post("/search", query).ok();
    let hit = &answer["hits"][0];
    assert_eq!(hit["id"], "long");
    let span = |passage: &Value| {
        let place = |name: &str| passage[name].as_u64().unwrap() as usize;
        text[place("start")..place("end")].to_owned()
    };
    assert!(span(&hit["passage"]).contains(FACT), "{hit}");
    assert_eq!(
        span(&hit["passage"]),
        hit["passage"]["text"].as_str().unwrap()
    );

    let best = hit["passages"].as_array().unwrap();
    assert_eq!(best.len(), 5);
    assert_eq!(best[0]["start"], hit["passage"]["start"]);
    assert_eq!(best[0]["text"], hit["passage"]["text"]);
    let scores: Vec<f64> = best.iter().map(|p| p["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!((scores[0] - hit["score"].as_f64().unwrap()).abs() < 1e-4);

    let again = store(
        client,
        "/documents",
        json!({"id": "long", "title": "Notes", "text": text}),
    );
    assert_eq!(
        (&again["status"], &again["passages"]),
        (&json!("unchanged"), &json!(passages))
    );
    let described = client.get("/documents/long").ok();
    assert_eq!(
        described["passages"].as_array().unwrap().len() as u64,
        passages
    );
}

#[test]
fn with_chunking_off_a_long_text_is_cut_with_a_warning_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    assert_eq!(put(client, "whole", json!({"mode": "off"})).status, 201);
    let document = json!({"id": "long", "text": long_text(1000)});
    let stored = store(client, "/collections/whole/documents", document);
    assert_eq!(stored["passages"], 1);
    assert_eq!(stored["warnings"][0]["code"], "truncated");
    assert!(
        client
            .get("/metrics")
            .text
            .contains("siamese_truncated_texts_total 1")
    );
}

#[test]
fn a_text_that_the_model_has_no_tokens_for_is_stored_with_a_warning_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let stored = |text: &str| {
        let document = json!({"id": text, "text": text});
        store(client, "/documents", document)["warnings"].clone()
    };
    let warnings = stored("ሰላም ለዓለም ሰላም");
    assert_eq!(warnings[0]["code"], "unknown_to_model");
    assert!(
        warnings[0]["detail"]
            .as_str()
            .unwrap()
            .starts_with("3 of the text's 3 tokens")
    );
    assert_eq!(stored("a cat sleeps on the sofa ሰላም"), json!(null));
    let metrics = client.get("/metrics").text;
    assert!(
        metrics.contains("siamese_unknown_texts_total 1"),
        "{metrics}"
    );
    let found = client
        .post("/search", json!({"query": "ለዓለም", "mode": "lexical"}))
        .ok();
    assert_eq!(found["hits"][0]["id"], "ሰላም ለዓለም ሰላም");
}

#[test]
fn chunking_is_described_kept_and_refused_when_it_does_not_fit_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let default = client.get("/collections/default").ok();
    let expected = json!({"mode": "sentence", "max_tokens": 128, "overlap_tokens": 16});
    assert_eq!(default["chunking"], expected);

    let fixed = json!({"mode": "fixed", "max_tokens": 64, "overlap_tokens": 8});
    assert_eq!(put(client, "fixed", fixed.clone()).ok()["chunking"], fixed);
    for (chunking, pointer) in [
        (
            json!({"mode": "sentence", "max_tokens": 257}),
            "/chunking/max_tokens",
        ),
        (
            json!({"mode": "sentence", "max_tokens": 15}),
            "/chunking/max_tokens",
        ),
        (
            json!({"mode": "fixed", "max_tokens": 64, "overlap_tokens": 33}),
            "/chunking/overlap_tokens",
        ),
        (
            json!({"mode": "off", "max_tokens": 64}),
            "/chunking/max_tokens",
        ),
        (json!({"mode": "pages"}), "/chunking/mode"),
        (json!({"mode": "off", "size": 1}), "/chunking/size"),
    ] {
        let problem = put(client, "bad", chunking).problem(422, "invalid_request");
        assert_eq!(problem["pointer"], pointer);
    }
    store(
        client,
        "/collections/fixed/documents",
        json!({"id": "a", "text": "x"}),
    );
    put(client, "fixed", json!({"mode": "off"})).problem(409, "conflict");
    server.terminate();
    let server = Server::start(folder.path());
    assert_eq!(
        server.client().get("/collections/fixed").ok()["chunking"],
        fixed
    );
}

#[test]
fn texts_without_sentences_are_split_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    for (id, text) in [
        ("line", "lorem ipsum dolor ".repeat(1700)),
        ("cjk", "我们在花园里种花".repeat(300)),
    ] {
        let stored = store(client, "/documents", json!({"id": id, "text": text}));
        assert!(stored["passages"].as_u64().unwrap() > 5, "{stored}");
        assert!(stored.get("warnings").is_none(), "{stored}");
    }
}

#[test]
fn a_document_of_too_many_passages_is_refused_and_the_limit_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("LIMITS__MAX_PASSAGES_PER_DOCUMENT", 3)
        .start();
    let client = server.client();
    let documents = json!({"documents": [
        {"id": "short", "text": "x"}, {"id": "long", "text": long_text(5000)}
    ]});
    let problem = client
        .post("/documents", documents)
        .problem(422, "invalid_request");
    assert_eq!(problem["pointer"], "/documents/1/text");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("limits.max_passages_per_document = 3")
    );
    client
        .get("/documents/short")
        .problem(404, "document_not_found");

    let lines = format!(
        "{}\n{}\n",
        json!({"id": "short", "text": "x"}),
        json!({"id": "long", "text": long_text(5000)})
    );
    let answer = client.send(
        Method::POST,
        "/documents",
        Some("application/x-ndjson"),
        lines.as_bytes(),
    );
    let lines: Vec<Value> = answer
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["status"], "created");
    assert_eq!(lines[1]["error"]["pointer"], "/text");
}
