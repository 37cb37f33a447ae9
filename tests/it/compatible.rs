//! The routes in the shapes of OpenAI, text-embeddings-inference and Cohere.

use serde_json::{Value, json};
use siamese_tests::{Client, Server};
use ureq::http::Method;

fn vector(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[track_caller]
fn assert_close(left: &[f32], right: &[f32]) {
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        assert!((left - right).abs() < 1e-5, "{left} is not {right}");
    }
}

/// Four characters of base64 are three bytes.
fn from_base64(text: &str) -> Vec<f32> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter(|byte| *byte != b'=');
    let bits = digits.map(|byte| alphabet.bytes().position(|other| other == byte).unwrap());
    let (mut bytes, mut value, mut count) = (Vec::new(), 0_usize, 0);
    for digit in bits {
        value = value << 6 | digit;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((value >> count) as u8);
        }
    }
    let floats = bytes.chunks_exact(4);
    floats
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect()
}

/// The vector that the index has for a text.
fn stored(client: &Client, text: &str) -> Vec<f32> {
    let documents = json!({"documents": [{"id": "x", "text": text}]});
    client.post("/documents", documents).ok();
    let document = client.get("/documents/x?include=vectors").ok();
    vector(&document["passages"][0]["vector"])
}

#[test]
fn embeddings_are_answered_as_openai_does() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let expected = stored(client, "The cat sleeps.");
    let body = json!({
        "input": ["The cat sleeps.", "x"], "model": "text-embedding-3-small", "user": "me"
    });
    let answer = client.post("/v1/embeddings", body).ok();
    assert_eq!(answer["object"], "list");
    assert_eq!(answer["model"], "all-MiniLM-L6-v2");
    let tokens = &answer["usage"]["prompt_tokens"];
    assert_eq!(
        (tokens, &answer["usage"]["total_tokens"]),
        (&json!(9), tokens)
    );
    let data = answer["data"].as_array().unwrap();
    assert_eq!(data.len(), 2);
    assert_eq!(
        (&data[1]["index"], &data[1]["object"]),
        (&json!(1), &json!("embedding"))
    );
    assert_close(&vector(&data[0]["embedding"]), &expected);

    let body = json!({"input": "The cat sleeps.", "encoding_format": "base64"});
    let answer = client.post("/v1/embeddings", body).ok();
    let text = answer["data"][0]["embedding"].as_str().unwrap();
    assert_close(&from_base64(text), &expected);

    let body = json!({"input": "The cat sleeps.", "dimensions": 8, "input_type": "query"});
    let answer = client.post("/v1/embeddings", body).ok();
    let short = vector(&answer["data"][0]["embedding"]);
    let length = expected[..8].iter().map(|x| x * x).sum::<f32>().sqrt();
    let scaled: Vec<f32> = expected[..8].iter().map(|x| x / length).collect();
    assert_close(&short, &scaled);

    let models = client.get("/v1/models").ok();
    assert_eq!(models["data"][0]["id"], "all-MiniLM-L6-v2");
    assert_eq!(models["data"][0]["object"], "model");
    assert!(models["data"][0]["created"].as_i64().unwrap() > 1_700_000_000);
}

#[test]
fn embed_and_info_are_answered_as_text_embeddings_inference_does() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let expected = stored(client, "The cat sleeps.");
    let embed = |body: Value| client.post("/embed", body).ok();
    let one = embed(json!({"inputs": "The cat sleeps."}));
    assert_eq!(one.as_array().unwrap().len(), 1);
    assert_close(&vector(&one[0]), &expected);
    let body = json!({
        "inputs": ["x", "The cat sleeps."], "truncate": true, "truncation_direction": "Right",
        "normalize": false, "prompt_name": null, "dimensions": 384
    });
    assert_close(&vector(&embed(body)[1]), &expected);
    let info = client.get("/info").ok();
    assert_eq!(info["model_id"], "all-MiniLM-L6-v2");
    assert_eq!(
        info["model_type"],
        json!({"embedding": {"pooling": "mean"}})
    );
    assert_eq!(info["max_input_length"], 256);
    assert_eq!(info["auto_truncate"], true);
    assert!(info["docker_label"].is_null());
}

#[test]
fn many_texts_come_back_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let texts: Vec<String> = (0..40)
        .map(|n| format!("{n} {}", "word ".repeat(n)))
        .collect();
    let all = client.post("/embed", json!({"inputs": texts})).ok();
    for place in [0, 7, 39] {
        let alone = client.post("/embed", json!({"inputs": texts[place]})).ok();
        assert_close(&vector(&all[place]), &vector(&alone[0]));
    }
}

type Refused = (&'static str, Value, &'static str);

/// Bad requests for vectors, and the fields at fault.
fn bad_embeddings(long: &str) -> Vec<Refused> {
    vec![
        ("/v1/embeddings", json!({"model": "x"}), ""),
        ("/v1/embeddings", json!({"input": ""}), "/input"),
        ("/v1/embeddings", json!({"input": []}), "/input"),
        ("/v1/embeddings", json!({"input": ["x", " "]}), "/input/1"),
        ("/v1/embeddings", json!({"input": [1, true]}), "/input/1"),
        ("/v1/embeddings", json!({"input": [[1], []]}), "/input/1"),
        ("/v1/embeddings", json!({"input": [1, 30522]}), "/input"),
        ("/embeddings", json!({"input": [[1], [30522]]}), "/input"),
        ("/embed", json!({"inputs": [[1], [30522]]}), "/inputs"),
        (
            "/v1/embeddings",
            json!({"input": [1, 2], "model": "text-embedding-3-small"}),
            "/input",
        ),
        (
            "/v1/embeddings",
            json!({"input": vec!["x"; 2049]}),
            "/input",
        ),
        (
            "/v1/embeddings",
            json!({"input": "x", "dimensions": 385}),
            "/dimensions",
        ),
        (
            "/v1/embeddings",
            json!({"input": "x", "dimensions": 0}),
            "/dimensions",
        ),
        (
            "/v1/embeddings",
            json!({"input": "x", "encoding_format": "hex"}),
            "/encoding_format",
        ),
        (
            "/embed",
            json!({"inputs": "x", "prompt_name": "query"}),
            "/prompt_name",
        ),
        (
            "/embed",
            json!({"inputs": ["x", long], "truncate": false}),
            "/inputs",
        ),
        (
            "/embed",
            json!({"inputs": "x", "truncation_direction": "up"}),
            "/truncation_direction",
        ),
    ]
}

/// The same for the other routes.
fn bad_others(long: &str) -> Vec<Refused> {
    vec![
        (
            "/embed_all",
            json!({"inputs": ["x", long], "truncate": false}),
            "/inputs",
        ),
        ("/tokenize", json!({"inputs": ["x", ""]}), "/inputs/1"),
        ("/tokenize", json!({"inputs": [1]}), "/inputs/0"),
        ("/decode", json!({"ids": "x"}), "/ids"),
        ("/decode", json!({"ids": [30522]}), "/ids"),
        ("/", json!({"inputs": "x", "query": "x"}), ""),
        ("/", json!({"inputs": ["x", ""]}), "/inputs/1"),
        (
            "/",
            json!({"inputs": {"source_sentence": "x", "sentences": []}}),
            "/inputs/sentences",
        ),
        ("/v2/embed", json!({"texts": ["x", ""]}), "/texts/1"),
        (
            "/v2/embed",
            json!({"texts": [long], "truncate": "NONE"}),
            "/texts",
        ),
        (
            "/v2/embed",
            json!({"texts": ["x"], "output_dimension": 385}),
            "/output_dimension",
        ),
        (
            "/v1/embed",
            json!({"texts": ["x"], "embedding_types": ["float", "int8"]}),
            "/embedding_types/1",
        ),
        (
            "/v1/rerank",
            json!({"query": "", "documents": ["x"]}),
            "/query",
        ),
        (
            "/v2/rerank",
            json!({"query": "x", "documents": ["x", {"title": "x"}]}),
            "/documents/1",
        ),
        (
            "/v2/rerank",
            json!({"query": "x", "documents": []}),
            "/documents",
        ),
        (
            "/v2/rerank",
            json!({"query": "x", "documents": ["x"], "top_n": 0}),
            "/top_n",
        ),
        ("/predict", json!({"inputs": "x"}), "/inputs"),
        (
            "/predict",
            json!({"inputs": [["x", "y"], ["", "y"]]}),
            "/inputs/1",
        ),
    ]
}

#[test]
fn bad_requests_to_the_compatible_routes_are_pointed_at() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let long = "word ".repeat(400);
    let bad = [bad_embeddings(&long), bad_others(&long)].concat();
    for (path, body, pointer) in bad {
        let problem = client.post(path, body).problem(422, "invalid_request");
        let said = problem["pointer"].as_str().unwrap_or_default();
        assert_eq!(said, pointer, "{problem}");
    }
}

#[test]
fn fields_without_a_meaning_here_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    for (path, mut body) in [
        ("/v1/embeddings", json!({"input": "x"})),
        ("/embeddings", json!({"input": "x"})),
        ("/embed", json!({"inputs": "x"})),
        ("/embed_all", json!({"inputs": "x"})),
        ("/tokenize", json!({"inputs": "x"})),
        ("/decode", json!({"ids": [101]})),
        ("/", json!({"inputs": "x"})),
        ("/v1/embed", json!({"texts": ["x"]})),
        ("/v2/embed", json!({"texts": ["x"]})),
    ] {
        body["extra_body"] = json!({"a": [1]});
        body["user"] = json!(7);
        client.post(path, body).ok();
    }
}

#[test]
fn the_tokens_of_a_text_have_its_vector() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let tokens = client
        .post("/tokenize", json!({"inputs": "The café sleeps."}))
        .ok();
    let tokens = tokens[0].as_array().unwrap();
    let first = json!({"id": 101, "text": "[CLS]", "special": true, "start": null, "stop": null});
    assert_eq!(tokens[0], first);
    assert_eq!(tokens[2]["text"], "café");
    assert_eq!(
        (&tokens[2]["start"], &tokens[2]["stop"]),
        (&json!(4), &json!(8))
    );
    let ids: Vec<&Value> = tokens.iter().map(|token| &token["id"]).collect();
    let decoded = client.post("/decode", json!({"ids": ids})).ok();
    assert_eq!(decoded, json!(["the cafe sleeps."]));
    let bare = json!({"inputs": ["The café sleeps."], "add_special_tokens": false});
    let bare = client.post("/tokenize", bare).ok();
    assert_eq!(bare[0].as_array().unwrap().len(), ids.len() - 2);
    let vectors = json!({"inputs": ["The café sleeps.", ids, ids[1..ids.len() - 1]]});
    let vectors = client.post("/embed", vectors).ok();
    for place in 1..3 {
        assert_close(&vector(&vectors[place]), &vector(&vectors[0]));
    }
    // Thousands of token ids are one text, not too many texts.
    let many = json!({"input": vec![2000; 3000]});
    let answer = client.post("/v1/embeddings", many).ok();
    assert_eq!(answer["usage"]["prompt_tokens"], 256);
    let states = client
        .post("/embed_all", json!({"inputs": ["x", ids]}))
        .ok();
    let rows = |place: usize| states[place].as_array().unwrap();
    assert_eq!((rows(0).len(), rows(1).len()), (3, ids.len()));
    assert!(
        rows(1)
            .iter()
            .all(|row| row.as_array().unwrap().len() == 384)
    );
}

#[test]
fn the_end_of_a_text_that_is_left_out_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let (cats, rain) = ("cat ".repeat(300), "rain ".repeat(300));
    let both = format!("{cats}{rain}");
    for direction in ["Left", "left", "right"] {
        let kept = if direction == "right" { &cats } else { &rain };
        let body = json!({"inputs": [both, kept], "truncation_direction": direction});
        let vectors = client.post("/embed", body).ok();
        assert_close(&vector(&vectors[0]), &vector(&vectors[1]));
    }
    let body = json!({"texts": [both, rain], "truncate": "START"});
    let answer = client.post("/v2/embed", body).ok();
    let vectors = &answer["embeddings"]["float"];
    assert_close(&vector(&vectors[0]), &vector(&vectors[1]));
}

#[test]
fn a_client_that_knows_only_the_address_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let texts = json!({"inputs": ["The cat sleeps.", "x"], "normalize": true});
    assert_eq!(
        client.post("/", texts.clone()).ok(),
        client.post("/embed", texts).ok()
    );
    let inputs = json!({"source_sentence": "A cat.", "sentences": ["The kitten.", "The tax."]});
    let scores = client
        .post("/", json!({"inputs": inputs, "parameters": {}}))
        .ok();
    assert!(scores[0].as_f64() > scores[1].as_f64());
    for probe in ["/health", "/ping"] {
        client.get(probe).ok();
    }
}

#[test]
fn a_model_is_described_by_its_name_whatever_slashes_are_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    for prefix in ["/v1/models", "/models"] {
        let model = client.get(&format!("{prefix}/all-MiniLM-L6-v2")).ok();
        assert_eq!(model["id"], "all-MiniLM-L6-v2");
        let problem = client.get(&format!("{prefix}/no/such"));
        let problem = problem.problem(404, "model_not_found");
        assert_eq!(problem["error"]["code"], "model_not_found");
        assert!(problem["detail"].as_str().unwrap().contains("no/such"));
    }
}

/// Whatever refuses a request, the answer has the members that the route's clients read.
#[test]
fn errors_have_the_shape_of_the_service_that_the_route_is_of() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    for path in ["/v1/embeddings", "/embeddings", "/v1/nothing"] {
        let is_there = path != "/v1/nothing";
        let send = |content_type, body: &str| {
            client.send(Method::POST, path, Some(content_type), body.as_bytes())
        };
        for (answer, status) in [
            (client.get(path), if is_there { 405 } else { 404 }),
            (send("text/plain", "x"), if is_there { 415 } else { 404 }),
            (
                send("application/json", "{"),
                if is_there { 400 } else { 404 },
            ),
        ] {
            let error = &answer.json()["error"];
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(error["type"], "invalid_request_error", "{path}");
            assert!(
                error["message"].is_string() && error["code"].is_string(),
                "{path}"
            );
            assert!(error["param"].is_null(), "{path}");
        }
    }
    let refused = client.post("/embed", json!({"inputs": ["x", ""]}));
    assert_eq!(refused.json()["error"], "inputs[1]: the text is empty");
    assert_eq!(refused.json()["error_type"], "Validation");
    let refused = client.post("/rerank", json!({"query": "x", "texts": ["x"]}));
    assert_eq!(
        (refused.status, &refused.json()["error_type"]),
        (404, &json!("Backend"))
    );
    let refused = client.post("/v2/rerank", json!({"query": "x", "documents": ["x"]}));
    assert!(
        refused.json()["message"]
            .as_str()
            .unwrap()
            .contains("--reranker")
    );
}
