//! The routes in the shapes of OpenAI and text-embeddings-inference.

use serde_json::{Value, json};
use siamese_tests::{Client, Server};

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

#[test]
fn bad_requests_to_the_compatible_routes_are_pointed_at() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let long = "word ".repeat(400);
    for (path, body, pointer) in [
        ("/v1/embeddings", json!({"model": "x"}), ""),
        ("/v1/embeddings", json!({"input": ""}), "/input"),
        ("/v1/embeddings", json!({"input": []}), "/input"),
        ("/v1/embeddings", json!({"input": ["x", " "]}), "/input/1"),
        ("/v1/embeddings", json!({"input": [1, 2]}), "/input"),
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
            "/v1/embeddings",
            json!({"input": "x", "nonsense": 1}),
            "/nonsense",
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
            json!({"inputs": "x", "truncation_direction": "left"}),
            "/truncation_direction",
        ),
    ] {
        let problem = client.post(path, body).problem(422, "invalid_request");
        let said = problem["pointer"].as_str().unwrap_or_default();
        assert_eq!(said, pointer, "{problem}");
    }
}
