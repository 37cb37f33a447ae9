//! What each word gives to a score.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use siamese_tests::{Client, Server, ServerOptions};
use ureq::http::Method;

const CAT: &str = "The cat set off the siren, yesterday.";
const PET: &str = "Our pet triggered an alarm in the café.";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/encoder/tests/fixtures/models")
        .join(name)
}

fn explain(client: &Client, body: Value) -> Value {
    client.post("/similarity/explain", body).ok()
}

fn contributions(list: &Value) -> f64 {
    let list = list.as_array().unwrap().iter();
    list.map(|item| item["contribution"].as_f64().unwrap())
        .sum()
}

/// Every sum is the score, and every span is where it says.
#[track_caller]
fn assert_adds_up(answer: &Value) {
    let score = answer["score"].as_f64().unwrap();
    let is_score = |sum: f64, what: &str| {
        assert!(
            (sum - score).abs() < 1e-4,
            "{what} {sum} is not {score}: {answer}"
        );
    };
    for side in [&answer["a"], &answer["b"]] {
        is_score(contributions(&side["tokens"]), "tokens");
        let rest = ["special", "prompt", "bias"].map(|part| side["rest"][part].as_f64().unwrap());
        is_score(
            contributions(&side["words"]) + rest.iter().sum::<f64>(),
            "words",
        );
        let text = side["text"].as_str().unwrap();
        let listed = ["tokens", "words"].map(|list| side[list].as_array().unwrap());
        for item in listed.into_iter().flatten() {
            if let (Some(start), Some(end)) = (item["start"].as_u64(), item["end"].as_u64()) {
                assert_eq!(text[start as usize..end as usize], item["text"]);
            }
        }
    }
    if let Some(rows) = answer["matrix"].as_array() {
        let tokens = |side: &str| answer[side]["tokens"].as_array().unwrap().len();
        assert_eq!(rows.len(), tokens("a"));
        let rows = rows.iter().map(|row| row.as_array().unwrap());
        assert!(rows.clone().all(|row| row.len() == tokens("b")));
        is_score(
            rows.flatten().map(|cell| cell.as_f64().unwrap()).sum(),
            "matrix",
        );
    }
}

#[test]
fn what_words_give_to_a_score_adds_up_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let body = json!({"a": CAT, "b": {"text": PET}, "matrix": true, "top_k": 4});
    let answer = explain(client, body);
    assert_adds_up(&answer);
    let compared = client
        .post("/similarity", json!({"pairs": [[CAT, PET]]}))
        .ok();
    assert_eq!(answer["score"], compared["scores"][0]);
    let pairs = answer["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 4);
    let has = |a: &str, b: &str| {
        pairs
            .iter()
            .any(|pair| pair["a"]["text"] == a && pair["b"]["text"] == b)
    };
    assert!(has("siren", "alarm") && has("cat", "pet"), "{answer}");
    let words = answer["b"]["words"].as_array().unwrap();
    let texts: Vec<&str> = words
        .iter()
        .map(|word| word["text"].as_str().unwrap())
        .collect();
    assert_eq!(
        texts,
        [
            "Our",
            "pet",
            "triggered",
            "an",
            "alarm",
            "in",
            "the",
            "café",
            "."
        ]
    );
    assert_eq!(answer["a"]["tokens"][0]["kind"], "special");
    assert_eq!(
        (&answer["a"]["truncated"], &answer["not_explained"]),
        (&json!(false), &json!([]))
    );
    let without = explain(client, json!({"a": CAT, "b": PET}));
    assert!(without["matrix"].is_null());
    assert_eq!(without["score"], answer["score"]);
}

#[test]
fn of_stored_documents_the_passages_that_are_nearest_are_explained_or_those_that_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let paragraphs = json!({"chunking": {"mode": "paragraph"}});
    client
        .ask(Method::PUT, "/collections/notes", &[], paragraphs)
        .ok();
    // Shorter paragraphs are no passages of their own.
    let tax = "The tax return is due in May, and whoever has a good reason may send it later, but not \
               after the end of the year.";
    let pet = "While we were away our pet triggered an alarm, and the neighbours, who did not know about \
               it, called the police because of the noise.";
    let long = format!("{tax}\n\n{pet}");
    let documents = json!({"documents": [{"id": "cat", "title": "Noise", "text": CAT}, {"id": "long", "text": long}]});
    client.post("/collections/notes/documents", documents).ok();
    let explain = |body: Value| {
        client
            .post("/collections/notes/similarity/explain", body)
            .ok()
    };

    let stored = explain(json!({"a": {"id": "cat"}, "b": {"id": "long"}}));
    assert_adds_up(&stored);
    let (a, b) = (&stored["a"], &stored["b"]);
    assert_eq!(
        (&a["text"], &a["passage_offset"]),
        (&json!(format!("Noise {CAT}")), &json!(6))
    );
    assert_eq!((&b["text"], &b["id"]), (&json!(pet), &json!("long")));
    assert_eq!(
        b["passage"],
        json!({"start": tax.len() + 2, "end": long.len()})
    );
    let sentence = stored["not_explained"][0].as_str().unwrap();
    assert!(
        sentence.starts_with("b is one of 2 passages of the document \"long\""),
        "{sentence}"
    );
    assert_eq!(stored["not_explained"].as_array().unwrap().len(), 1);

    let asked = explain(json!({"a": "When are taxes due?", "b": {"id": "long"}}));
    assert_eq!(asked["b"]["text"], tax);
    let span = json!({"start": 0, "end": tax.len()});
    let named = explain(json!({"a": CAT, "b": {"id": "long", "passage": span}}));
    assert_adds_up(&named);
    assert_eq!(named["b"]["text"], tax);

    let pointer = |body: Value, status: u16, code: &str| {
        let answer = client.post("/collections/notes/similarity/explain", body);
        answer.problem(status, code)["pointer"].clone()
    };
    let unknown = json!({"a": CAT, "b": {"id": "dog"}});
    assert_eq!(pointer(unknown, 404, "document_not_found"), "/b/id");
    let unknown = json!({"a": {"id": "long", "passage": {"start": 1, "end": 5}}, "b": CAT});
    assert_eq!(pointer(unknown, 422, "invalid_request"), "/a/passage");
}

#[test]
fn a_hit_is_explained_by_its_query_and_passage_with_the_models_prompts() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .model(&fixture("xlm-roberta"))
        .start();
    let client = server.client();
    let text = "The river bends twice before it reaches the mill.";
    client
        .post(
            "/documents",
            json!({"documents": [{"id": "mill", "text": text}]}),
        )
        .ok();
    let found = client.post("/search", json!({"query": "rain falls"})).ok();
    let hit = &found["hits"][0];
    let span = json!({"start": hit["passage"]["start"], "end": hit["passage"]["end"]});
    let body =
        json!({"a": {"query": "rain falls"}, "b": {"id": "mill", "passage": span}, "matrix": true});
    let answer = explain(client, body);
    assert_adds_up(&answer);
    assert_eq!(answer["score"], hit["score"]);
    let of_kind = |side: &str, kind: &str| {
        let tokens = answer[side]["tokens"].as_array().unwrap().iter();
        tokens.filter(|token| token["kind"] == kind).count()
    };
    // Its documents have none.
    assert!(of_kind("a", "prompt") > 0 && of_kind("b", "prompt") == 0);
    assert_eq!((of_kind("a", "bias"), of_kind("b", "bias")), (1, 1));
    let as_document = explain(client, json!({"a": "rain falls", "b": text}));
    assert_ne!(as_document["score"], answer["score"]);
}

#[test]
fn the_first_hits_of_a_search_are_explained_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("LIMITS__MAX_EXPLAINED_HITS", 2)
        .start();
    let client = server.client();
    let documents = json!({"documents": [
        {"id": "pet", "title": "Noise", "text": PET},
        {"id": "cat", "text": CAT},
        {"id": "tax", "text": "The tax return is due in May."},
    ]});
    client.post("/documents", documents).ok();
    let query = "the dog started an alarm";
    let body = json!({"query": query, "include": ["explanation"], "mode": "hybrid"});
    for body in [json!({"query": query, "include": ["explanation"]}), body] {
        let found = client.post("/search", body).ok();
        let hits = found["hits"].as_array().unwrap();
        assert_eq!(hits.len(), 3);
        assert!(hits[2]["explanation"].is_null(), "{found}");
        for hit in &hits[..2] {
            let explanation = &hit["explanation"];
            assert_adds_up(explanation);
            let score = hit["scores"].get("semantic").unwrap_or(&hit["score"]);
            assert_eq!(&explanation["score"], score);
            let (a, b) = (&explanation["a"], &explanation["b"]);
            assert_eq!((&a["text"], &b["id"]), (&json!(query), &hit["id"]));
            let (passage, of) = (&hit["passage"], &b["passage"]);
            assert_eq!(
                (&passage["start"], &passage["end"]),
                (&of["start"], &of["end"])
            );
            let offset = b["passage_offset"].as_u64().unwrap() as usize;
            assert_eq!(b["text"].as_str().unwrap()[offset..], passage["text"]);
            assert_eq!(explanation["not_explained"], json!([]));
        }
        assert_eq!(hits[0]["explanation"]["pairs"][0]["a"]["text"], "alarm");
    }
    let by_address = client
        .get("/search?q=alarm&include=explanation&top_k=1")
        .ok();
    assert_adds_up(&by_address["hits"][0]["explanation"]);
    let plain = client.post("/search", json!({"query": query})).ok();
    assert!(plain["hits"][0]["explanation"].is_null());

    let refused = |path: &str, body: Value, pointer: &str| {
        let problem = client.post(path, body).problem(422, "invalid_request");
        assert_eq!(problem["pointer"], pointer, "{problem}");
    };
    let include = json!(["explanation"]);
    refused(
        "/search",
        json!({"id": "cat", "include": include}),
        "/include",
    );
    refused(
        "/search",
        json!({"query": "cat", "mode": "lexical", "include": include}),
        "/include",
    );
    let searches = json!({"searches": [{"query": "cat"}, {"query": "cat", "include": include}]});
    refused("/search/batch", searches, "/searches/1/include");
}

#[test]
fn what_a_model_does_not_tell_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let text = "rain ".repeat(60);
    let answer = explain(server.client(), json!({"a": "rain falls", "b": text}));
    assert_adds_up(&answer);
    assert_eq!(
        (&answer["a"]["truncated"], &answer["b"]["truncated"]),
        (&json!(false), &json!(true))
    );
    let sentence = |place: usize| answer["not_explained"][place].as_str().unwrap();
    assert!(
        sentence(0).contains("the first token as its vector (cls pooling)"),
        "{answer}"
    );
    assert!(
        sentence(1).starts_with("b is longer than the 40 tokens"),
        "{answer}"
    );

    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .model(&fixture("bert-dense-prompts"))
        .start();
    let refused = server
        .client()
        .post("/similarity/explain", json!({"a": "rain", "b": "mill"}));
    let problem = refused.problem(422, "not_explainable");
    assert!(
        problem["detail"].as_str().unwrap().contains("applies tanh"),
        "{problem}"
    );
}

#[test]
fn what_cannot_be_explained_is_refused_with_a_pointer() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("LIMITS__MAX_EXPLAINED_TOKENS", 8)
        .start();
    let refused = |body: Value, pointer: &str, part: &str| {
        let answer = server.client().post("/similarity/explain", body.clone());
        let problem = answer.problem(422, "invalid_request");
        assert_eq!(
            problem["pointer"].as_str().unwrap_or_default(),
            pointer,
            "{body}: {problem}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains(part),
            "{body}: {problem}"
        );
    };
    let vector = "a vector has no tokens";
    refused(json!({"a": [0.1, 0.2], "b": "cat"}), "/a", vector);
    refused(json!({"a": "cat", "b": {"vector": [0.1]}}), "/b", vector);
    refused(json!({"a": "cat"}), "", "b");
    refused(json!({"a": "cat", "b": " "}), "/b", "blank");
    refused(json!({"a": {"query": ""}, "b": "cat"}), "/a/query", "empty");
    refused(
        json!({"a": "cat", "b": "dog", "top_k": 0}),
        "/top_k",
        "max_top_k",
    );
    refused(
        json!({"a": "cat", "b": "dog", "metric": "dot"}),
        "/metric",
        "metric",
    );
    let words = |count| "word ".repeat(count);
    refused(
        json!({"a": "cat", "b": words(7)}),
        "/b",
        "b has 9 tokens, over limits.max_explained_tokens = 8",
    );
    assert_adds_up(&explain(
        server.client(),
        json!({"a": "cat", "b": words(6)}),
    ));
}

#[test]
fn the_command_line_prints_both_texts_and_their_words() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(siamese_tests::binary());
        command.args(["similarity", "--explain", CAT, PET, "--url"]);
        command.arg(format!("http://127.0.0.1:{}", server.port()));
        let output = command.args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = run(&[]);
    let json: Value = serde_json::from_str(&run(&["--json"])).unwrap();
    assert_adds_up(&json);
    let score = format!("{:.4}\n\n{CAT}\n", json["score"].as_f64().unwrap());
    assert!(printed.starts_with(&score), "{printed}");
    for line in [
        PET,
        "  siren - alarm",
        "  pet",
        "Words that match",
        "  (tokens around the text)",
    ] {
        assert!(
            printed.lines().any(|printed| printed.ends_with(line)),
            "{line}: {printed}"
        );
    }
    assert!(!printed.contains('\u{1b}'));
}
