//! `kill -9` at any moment: what was acknowledged is there, and nothing is there by half.

use std::time::Duration;

use serde_json::{Value, json};
use siamese_tests::{Client, IngestStream, Server};

const ROUNDS: usize = 6;
const LINES_PER_ROUND: usize = 400;

/// Few words, so that many documents are written in a short round.
fn line(round: usize, n: usize) -> String {
    let text = format!(
        "round {round} line {n} speaks of the number {}",
        n * 7919 % 1009
    );
    json!({"id": format!("r{round}-{n}"), "title": "t", "text": text, "metadata": {"n": n}})
        .to_string()
}

/// Ingests until the server is killed, some moment after a few answers; returns the acknowledged
/// ids.
fn ingest_until_killed(server: Server, round: usize) -> Vec<String> {
    let mut stream = IngestStream::open(server.port());
    let mut sending = stream.try_clone();
    let sender = std::thread::spawn(move || {
        for n in 0..LINES_PER_ROUND {
            if sending
                .send(format!("{}\n", line(round, n)).as_bytes())
                .is_err()
            {
                break;
            }
        }
    });
    let mut server = Some(server);
    let mut acknowledged = Vec::new();
    let mut killer = None;
    while let Some(answer) = stream.answer() {
        if answer["status"] == "created" {
            acknowledged.push(answer["id"].as_str().unwrap().to_owned());
        }
        if acknowledged.len() > round * 20
            && let Some(server) = server.take()
        {
            // Spread over the time of one window's encoding and storing.
            let patience = Duration::from_millis((round as u64 * 7919 + 13) % 400);
            killer = Some(std::thread::spawn(move || {
                std::thread::sleep(patience);
                server.kill();
            }));
        }
    }
    killer.expect("the server was killed").join().unwrap();
    sender.join().unwrap();
    acknowledged
}

fn all_documents(client: &Client) -> Vec<Value> {
    let mut documents = Vec::new();
    let mut path = "/documents?limit=1000&include=text".to_owned();
    loop {
        let page = client.get(&path).ok();
        documents.extend(page["documents"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/documents?limit=1000&include=text&cursor={cursor}"),
            None => return documents,
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_no_document_is_there_by_half() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let server = Server::start(folder.path());
        let before = acknowledged.len();
        acknowledged.extend(ingest_until_killed(server, round));
        eprintln!(
            "round {round}: {} acknowledged before the kill",
            acknowledged.len() - before
        );

        let server = Server::start(folder.path());
        let client = server.client();
        let stored = all_documents(client);
        let ids: std::collections::HashSet<&str> = stored
            .iter()
            .map(|document| document["id"].as_str().unwrap())
            .collect();
        for id in &acknowledged {
            assert!(
                ids.contains(id.as_str()),
                "{id} was acknowledged and is gone"
            );
        }
        assert_eq!(
            client.get("/collections/default").ok()["documents"],
            stored.len()
        );
        for document in stored.iter().rev().take(25) {
            assert_whole_and_searchable(client, document);
        }
    }
    assert!(!acknowledged.is_empty(), "no round acknowledged anything");
}

fn assert_whole_and_searchable(client: &Client, document: &Value) {
    let id = document["id"].as_str().unwrap();
    let full = client.get(&format!("/documents/{id}?include=vectors")).ok();
    let vector = full["passages"][0]["vector"].clone();
    let hits = client
        .post("/search", json!({"vector": vector, "top_k": 1}))
        .ok();
    assert!(
        hits["hits"][0]["score"].as_f64().unwrap() > 0.9999,
        "{id} is not searchable"
    );
    let n = full["metadata"]["n"].as_u64().unwrap();
    assert!(
        full["text"]
            .as_str()
            .unwrap()
            .contains(&format!("line {n} ")),
        "{full}"
    );
}
