//! The vectors that leave the service are those of the reference implementation.

use serde_json::json;
use siamese_tests::Server;

#[test]
fn the_example_sentence_has_the_published_vector() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let documents = json!({"documents": [{"id": "e", "text": "This is an example sentence"}]});
    server.client().post("/documents", documents).ok();
    let stored = server.client().get("/documents/e?include=vectors").ok();
    let vector = stored["passages"][0]["vector"].as_array().unwrap();
    let expected = [
        0.067_656_9,
        0.063_495_9,
        0.048_713_1,
        0.079_304_9,
        0.037_448_0,
    ];
    for (value, expected) in vector.iter().zip(expected) {
        let value = value.as_f64().unwrap();
        // 16-bit codes, the default, are that close to f32.
        assert!((value - expected).abs() < 1e-4, "{value} is not {expected}");
    }
}

#[test]
fn the_encoder_describes_itself() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let encoder = server.client().get("/encoder").ok();
    assert_eq!(encoder["dimensions"], 384);
    assert_eq!(encoder["max_tokens"], 256);
    assert_eq!(encoder["pooling"], json!(["mean"]));
    assert_eq!(encoder["model_type"], "bert");
    assert_eq!(encoder["encoder_id"].as_str().unwrap().len(), 64);
}
