//! SIGTERM: what was accepted is finished, everything is durable, the exit code is 0.

use serde_json::json;
use siamese_tests::{IngestStream, Server};

#[test]
fn an_idle_server_stops_with_success() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Server::start(folder.path()).terminate().success());
}

#[test]
fn a_stream_is_finished_for_what_was_read_and_then_ended() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut stream = IngestStream::open(server.port());
    stream.send(b"{\"id\":\"a\",\"text\":\"x\"}\n").unwrap();
    assert_eq!(stream.answer().unwrap()["status"], "created");
    server.signal_terminate();
    assert_eq!(stream.answer().unwrap()["error"]["code"], "not_ready");
    assert_eq!(stream.answer().unwrap()["summary"]["created"], 1);
    assert!(server.wait().success());

    let server = Server::start(folder.path());
    server.client().get("/documents/a").ok();
}

#[test]
fn a_request_in_progress_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client().clone();
    let documents: Vec<_> = (0..40)
        .map(|n| json!({"id": n.to_string(), "text": format!("{n} {}", "word ".repeat(60))}))
        .collect();
    let request =
        std::thread::spawn(move || client.post("/documents", json!({"documents": documents})));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(server.terminate().success());
    let answer = request.join().unwrap().ok();
    assert_eq!(answer["results"].as_array().unwrap().len(), 40);

    let server = Server::start(folder.path());
    assert_eq!(
        server.client().get("/collections/default").ok()["documents"],
        40
    );
}
