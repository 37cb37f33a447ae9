//! Streamed ingest: both ways at once, in order, a bad line alone.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use siamese_tests::{IngestStream, RawConnection, Server, ServerOptions};
use ureq::http::Method;

const NDJSON: Option<&str> = Some("application/x-ndjson");

fn answers(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_line_is_answered_in_order_and_a_bad_one_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let body = "{\"id\":\"a\",\"text\":\"one\"}\n\
                not json\n\
                {\"id\":\"b\",\"text\":\"\"}\n\
                \n\
                {\"id\":\"a\",\"text\":\"two\"}\r\n\
                {\"id\":\"c\",\"text\":\"three\",\"extra\":1}\n\
                {\"id\":\"d\",\"text\":\"four\"}";
    let answer = server
        .client()
        .send(Method::POST, "/documents", NDJSON, body.as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let lines = answers(&answer.text);
    let outcomes: Vec<(u64, &str)> = lines[..lines.len() - 1]
        .iter()
        .map(|line| {
            (
                line["line"].as_u64().unwrap(),
                line["status"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        (1, "created"),
        (2, "failed"),
        (3, "failed"),
        (5, "updated"),
        (6, "failed"),
        (7, "created"),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(lines[1]["error"]["code"], "malformed_json");
    assert_eq!(lines[2]["error"]["pointer"], "/text");
    assert_eq!(lines[4]["error"]["pointer"], "/extra");
    let summary = &lines.last().unwrap()["summary"];
    let counts =
        ["created", "updated", "unchanged", "failed"].map(|key| summary[key].as_u64().unwrap());
    assert_eq!(counts, [2, 1, 0, 3]);
    assert_eq!(server.client().get("/documents/a").ok()["text"], "two");
}

#[test]
fn answers_come_while_the_request_is_still_open() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut stream = IngestStream::open(server.port());
    for n in 0..3 {
        stream
            .send(format!("{}\n", json!({"id": format!("s{n}"), "text": "x"})).as_bytes())
            .unwrap();
        assert_eq!(stream.answer().unwrap()["status"], "created");
        server.client().get(&format!("/documents/s{n}")).ok();
    }
    stream.finish().unwrap();
    assert_eq!(stream.answer().unwrap()["summary"]["created"], 3);
    assert_eq!(stream.answer(), None);
}

#[test]
fn an_overlong_line_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("LIMITS__MAX_LINE_BYTES", 100)
        .start();
    let long = json!({"id": "long", "text": "x".repeat(200)}).to_string();
    let body = format!("{long}\n{}\n", json!({"id": "short", "text": "x"}));
    let answer = server
        .client()
        .send(Method::POST, "/documents", NDJSON, body.as_bytes());
    let lines = answers(&answer.text);
    assert_eq!(lines[0]["error"]["code"], "payload_too_large");
    assert_eq!(lines[1]["status"], "created");
}

#[test]
fn an_empty_stream_is_answered_with_an_empty_summary() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let answer = server
        .client()
        .send(Method::POST, "/documents", NDJSON, b"");
    assert_eq!(answers(&answer.text)[0]["summary"]["created"], 0);
}

#[test]
fn a_silent_client_is_told_and_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("SERVER__STREAM_IDLE_TIMEOUT_MS", 300)
        .start();
    let mut stream = IngestStream::open(server.port());
    stream.send(b"{\"id\":\"a\",\"text\":\"x\"}\n").unwrap();
    assert_eq!(stream.answer().unwrap()["status"], "created");
    assert_eq!(stream.answer().unwrap()["error"]["code"], "timeout");
    assert_eq!(stream.answer().unwrap()["summary"]["created"], 1);
}

#[test]
fn a_body_that_breaks_off_is_not_taken_for_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut stream = IngestStream::open(server.port());
    stream
        .send(b"{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":\"b\",")
        .unwrap();
    assert_eq!(stream.answer().unwrap()["status"], "created");
    stream.break_off().unwrap();
    let end = stream.answer().unwrap();
    assert_eq!(end["error"]["code"], "malformed_json", "{end}");
    assert!(
        end["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("broke off"),
        "{end}"
    );
    assert_eq!(stream.answer().unwrap()["summary"]["created"], 1);
}

#[test]
fn unfinished_lines_share_the_memory_for_bodies_and_a_stream_without_room_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("LIMITS__MAX_BODIES_IN_FLIGHT_BYTES", 1 << 20)
        .start();
    let half = vec![b'x'; 1 << 20];
    let mut streams: Vec<_> = (0..3).map(|_| IngestStream::open(server.port())).collect();
    for stream in &mut streams {
        stream.send(&half).unwrap();
    }
    // One has room at most; of the others, one waits in vain before the rest get what it held.
    let (answers, first) = mpsc::channel();
    for mut stream in streams {
        let answers = answers.clone();
        std::thread::spawn(move || answers.send(stream.answer()));
    }
    let refused = first
        .recv_timeout(Duration::from_secs(50))
        .unwrap()
        .unwrap();
    assert_eq!(refused["error"]["code"], "overloaded", "{refused}");
    server
        .client()
        .post("/documents", json!({"documents": [{"text": "small"}]}))
        .ok();
}

#[test]
fn a_client_that_hangs_up_does_not_disturb_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    for _ in 0..5 {
        let mut stream = IngestStream::open(server.port());
        for n in 0..200 {
            let line = format!(
                "{}\n",
                json!({"id": format!("h{n}"), "text": "words ".repeat(50)})
            );
            stream.send(line.as_bytes()).unwrap();
        }
        stream.hang_up();
    }
    server
        .client()
        .post("/search", json!({"query": "words"}))
        .ok();
}

/// Neither side waits for the other, though the answers are far more than sockets hold.
#[test]
fn a_client_that_reads_only_at_the_end_is_not_stuck() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("SERVER__WRITE_STALL_TIMEOUT_MS", 2000)
        .start();
    let line = "{\"id\": \"a\", \"text\": \"rain\", \"nonsense\": 1}\n";
    let lines = 60_000;
    let head = format!(
        "POST /documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        (lines + 1) * line.len()
    );
    let mut connection = RawConnection::narrow_saying(server.port(), &head);
    connection.send(line.repeat(lines).as_bytes()).unwrap();
    // Longer than anybody may be slow who is not sending any more.
    std::thread::sleep(Duration::from_secs(4));
    connection.send(line.as_bytes()).unwrap();
    let (answer, _) = connection.read_to_end();
    assert!(answer.contains("\"omitted\""), "{} bytes", answer.len());
    assert!(
        answer.contains(&format!("\"failed\":{}", lines + 1)),
        "{} bytes",
        answer.len()
    );
}
