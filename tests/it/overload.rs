//! A full queue, a full disk, and queries beside bulk work.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_tests::{Server, ServerOptions};

fn long_documents(prefix: &str, count: usize) -> Value {
    let document =
        |n| json!({"id": format!("{prefix}{n}"), "text": format!("{n} {}", "word ".repeat(200))});
    json!({"documents": (0..count).map(document).collect::<Vec<_>>()})
}

#[test]
fn a_full_queue_refuses_whole_requests_with_retry_after() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("QUEUE__MAX_BULK_TOKENS", 1024)
        .start();
    let requests: Vec<_> = (0..4)
        .map(|n| {
            let client = server.client().clone();
            std::thread::spawn(move || {
                client.post("/documents", long_documents(&format!("{n}-"), 40))
            })
        })
        .collect();
    let answers: Vec<_> = requests
        .into_iter()
        .map(|request| request.join().unwrap())
        .collect();
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status != 200)
        .collect();
    assert!(!refused.is_empty() && refused.len() < answers.len());
    for answer in &refused {
        let problem = answer.problem(503, "overloaded");
        assert!(
            problem["detail"].as_str().unwrap().contains("1024"),
            "{problem}"
        );
        assert_eq!(answer.headers["retry-after"], "2");
    }
    let stored = server.client().get("/collections/default").ok()["documents"]
        .as_u64()
        .unwrap();
    assert_eq!(stored as usize, 40 * (answers.len() - refused.len()));
}

#[test]
fn a_query_does_not_wait_for_all_bulk_work() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client().clone();
    let started = Instant::now();
    let bulk = std::thread::spawn(move || {
        client.post("/documents", long_documents("bulk", 60)).ok();
        started.elapsed()
    });
    std::thread::sleep(Duration::from_millis(200));
    let asked = Instant::now();
    server
        .client()
        .post("/search", json!({"query": "hello"}))
        .ok();
    let query = asked.elapsed();
    let bulk = bulk.join().unwrap();
    assert!(
        query < bulk / 2,
        "the query took {query:?} of the bulk's {bulk:?}"
    );
}

#[test]
fn a_disk_without_room_refuses_writes_and_serves_reads() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server
        .client()
        .post(
            "/documents",
            json!({"documents": [{"id": "a", "text": "x"}]}),
        )
        .ok();
    assert!(server.terminate().success());

    let server = ServerOptions::new(folder.path())
        .setting("STORAGE__MIN_FREE_DISK_BYTES", 1_u64 << 60)
        .start();
    let client = server.client();
    client
        .post(
            "/documents",
            json!({"documents": [{"id": "b", "text": "y"}]}),
        )
        .problem(507, "storage_full");
    client.get("/documents/a").ok();
    assert_eq!(
        client.post("/search", json!({"query": "x"})).ok()["hits"][0]["id"],
        "a"
    );
    client
        .get("/documents/b")
        .problem(404, "document_not_found");
}
