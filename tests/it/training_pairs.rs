//! Pairs of texts that belong together, as a service tells them to whoever trains.

use serde_json::{Value, json};
use siamese_tests::{Client, Server};

use super::training_jobs::{ROUNDS, SUBJECTS, fill, options, siamese};

fn pairs(client: &Client, body: Value) -> Vec<Value> {
    let answer = client.post("/training/pairs", body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let lines = answer.text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_collection_says_which_of_its_texts_belong_together() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    let client = server.client();
    fill(client);
    let same = pairs(client, json!({"same": "topic", "max_pairs_per_value": 5}));
    assert_eq!(same.len(), 40);
    for pair in &same {
        let topic = pair["label"]
            .as_str()
            .unwrap()
            .strip_prefix("same:")
            .unwrap();
        for id in ["anchor_id", "positive_id"] {
            assert!(pair[id].as_str().unwrap().starts_with(topic), "{pair}");
        }
        assert_ne!(pair["anchor"], pair["positive"]);
    }
    let refers = pairs(client, json!({"refers": "merged_into"}));
    assert_eq!(refers.len(), SUBJECTS.len() * ROUNDS);
    let mill = refers.iter().find(|pair| pair["anchor_id"] == "mill-3");
    assert_eq!(
        mill.unwrap(),
        &json!({
            "anchor": "mill number 3", "positive": "grinds flour", "label": "refers:mill", "source": "refers",
            "anchor_id": "mill-3", "positive_id": "mill",
        })
    );
    let feedback = pairs(client, json!({"feedback": true}));
    assert_eq!(feedback.len(), SUBJECTS.len());
    let mill = feedback.iter().find(|pair| pair["positive_id"] == "mill");
    assert_eq!(mill.unwrap()["anchor"], "what about the mill?");
    assert_eq!(mill.unwrap()["negative_1"], "grows roses");
    let all = json!({"same": "topic", "refers": "merged_into", "feedback": true, "max_pairs": 50});
    let all = pairs(client, all);
    assert_eq!(all.len(), 50);

    let url = format!("http://127.0.0.1:{}", server.port());
    let arguments = [
        "train",
        "pairs",
        "--same",
        "topic",
        "--refers",
        "merged_into",
        "--feedback",
        "--max-pairs",
        "50",
    ];
    let written = siamese(folder.path(), &url, &arguments);
    let written = String::from_utf8(written.stdout).unwrap();
    let written = written
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    assert_eq!(written.collect::<Vec<Value>>(), all, "the same seed");
}

/// The pairs of a service are what its trainings learn from, so a bad request for them is one for both.
#[test]
fn pairs_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server: Server = options(folder.path()).start();
    let client = server.client();
    fill(client);
    for (body, pointer) in [
        (json!({}), ""),
        (json!({"feedback": false}), ""),
        (json!({"same": "x".repeat(5000)}), "/same"),
        (json!({"refers": ["a"]}), "/refers"),
        (json!({"same": "topic", "max_pairs": 100_001}), "/max_pairs"),
        (
            json!({"same": "topic", "max_pairs_per_value": 0}),
            "/max_pairs_per_value",
        ),
        (json!({"same": "topic", "seed": -1}), "/seed"),
        (json!({"same": "topic", "more": 1}), ""),
        (json!({"same": "none"}), ""),
    ] {
        let problem = client
            .post("/training/pairs", body.clone())
            .problem(422, "invalid_request");
        let found = problem["pointer"].as_str().unwrap_or_default();
        assert!(found.starts_with(pointer), "{body}: {problem}");
    }
}
