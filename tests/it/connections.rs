//! Connections that do nothing, crawl, or do not read: they keep nobody else out, and they end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_tests::{Client, RawConnection, Server, ServerOptions};
use ureq::http::Method;

const HALF_HEAD: &str = "POST /search HTTP/1.1\r\nHost: localhost\r\nX-Half: ";
const SEARCH: &str =
    "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

fn half_body(length: usize) -> String {
    format!("{SEARCH}Content-Length: {length}\r\n\r\n{{")
}

fn half_stream() -> String {
    "POST /documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
     Transfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\n"
        .to_owned()
}

/// A client without a connection: one that is kept open gives way when the service wants room, maybe to its next request.
fn newcomer(server: &Server) -> Client {
    Client::new(format!("http://127.0.0.1:{}", server.port()))
}

fn search(client: &Client) -> u16 {
    client.post("/search", json!({"query": "x"})).status
}

/// The value of a metric, whose name stands with its labels.
fn metric(server: &Server, name: &str) -> f64 {
    let metrics = server.client().get("/metrics").text;
    let line = metrics.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value.and_then(|value| value.parse().ok()).unwrap_or(-1.0)
}

/// Fills the connections several times with ones that say `text`; returns them.
fn crowd(server: &Server, connections: usize, text: &str) -> Vec<RawConnection> {
    let connections = (0..connections).map(|_| RawConnection::saying(server.port(), text));
    connections.collect()
}

#[test]
fn connections_that_do_nothing_or_crawl_keep_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("SERVER__MAX_CONNECTIONS", 8)
        .start();
    for text in ["", HALF_HEAD, &half_body(1000), &half_stream()] {
        let _crowd = crowd(&server, 20, text);
        let deadline = Instant::now() + Duration::from_secs(20);
        // A body that has just begun is not slow yet; after a second it gives way.
        while search(&newcomer(&server)) != 200 {
            assert!(Instant::now() < deadline, "{text:?} keeps others out");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    assert!(
        metric(
            &server,
            "siamese_connections_closed_total{reason=\"evicted\"}"
        ) > 0.0
    );
    assert!(metric(&server, "siamese_connections ") <= 8.0 + 32.0);
}

#[test]
fn when_all_connections_are_at_work_probes_are_answered_and_the_rest_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("SERVER__MAX_CONNECTIONS", 2)
        .setting("SERVER__MIN_BODY_BYTES_PER_SECOND", 1)
        .start();
    // They are fast enough for the next quarter of an hour.
    let text = half_body(10_000) + &" ".repeat(1000);
    let _busy = crowd(&server, 2, &text);
    std::thread::sleep(Duration::from_millis(300));
    let _silent = crowd(&server, 100, "");
    let client = Client::new(format!("http://127.0.0.1:{}", server.port()));
    for probe in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(client.get(probe).status, 200, "{probe}");
    }
    let refused = client.post("/search", json!({"query": "x"}));
    let problem = refused.problem(503, "overloaded");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("server.max_connections"), "{detail}");
    assert_eq!(refused.headers["retry-after"], "1");
}

#[test]
fn a_head_that_does_not_come_to_its_end_and_an_idle_connection_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("SERVER__HEADER_TIMEOUT_MS", 400)
        .setting("SERVER__KEEP_ALIVE_TIMEOUT_MS", 400)
        .start();
    let get = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for text in ["", HALF_HEAD, get, &format!("{get}{HALF_HEAD}")] {
        let (answer, took) = RawConnection::saying(server.port(), text).read_to_end();
        assert_eq!(
            answer.contains("200 OK"),
            text.contains("livez"),
            "{answer}"
        );
        assert!(took < Duration::from_secs(20), "{text:?} took {took:?}");
    }
}

#[test]
fn a_body_that_comes_too_slowly_is_answered_408() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("SERVER__BODY_GRACE_MS", 400)
        .start();
    let (answer, _) = RawConnection::saying(server.port(), &half_body(1000)).read_to_end();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("body_too_slow"), "{answer}");
    assert!(
        answer.contains("server.min_body_bytes_per_second"),
        "{answer}"
    );
}

/// A query of so many bytes.
fn long_query(bytes: usize) -> Value {
    json!({ "query": "x".repeat(bytes) })
}

#[test]
fn bodies_are_read_no_faster_than_all_together_may_come() {
    const MAX_BYTES_PER_SECOND: usize = 400_000;
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("SERVER__MAX_BODY_BYTES_PER_SECOND", MAX_BYTES_PER_SECOND)
        // Whoever is held by the service is not slow.
        .setting("SERVER__BODY_GRACE_MS", 100)
        .start();
    let begun_at = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let answer = server.client().post("/search", long_query(700_000));
                answer.problem(422, "invalid_request");
            });
        }
    });
    // Not all of a body counts: its beginning, and what comes with its end, are read at once.
    let least = Duration::from_secs_f64(1_000_000.0 / MAX_BYTES_PER_SECOND as f64);
    let took = begun_at.elapsed();
    assert!(took > least, "{took:?}");
}

#[test]
fn small_bodies_do_not_wait_for_large_ones() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("SERVER__MAX_BODY_BYTES_PER_SECOND", 10_000)
        .start();
    let client = newcomer(&server);
    // It takes over a minute.
    let large =
        std::thread::spawn(move || client.try_json(Method::POST, "/search", &long_query(800_000)));
    for _ in 0..40 {
        newcomer(&server).post("/search", long_query(40_000)).ok();
    }
    assert!(!large.is_finished());
    server.kill();
    assert!(large.join().unwrap().is_none());
}

/// An export of this is larger than what the system keeps for a reader that does not read.
fn store_much(client: &Client) {
    let blob = "x".repeat(60_000);
    for request in 0..MUCH / 80 {
        let document =
            |n| json!({"id": format!("{request}-{n}"), "text": "a", "metadata": {"blob": blob}});
        let documents: Vec<_> = (0..80).map(document).collect();
        client
            .post("/documents", json!({"documents": documents}))
            .ok();
    }
}

const MUCH: usize = 240;
const EXPORT: &str = "GET /export HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn a_request_counts_until_the_last_byte_of_its_answer_has_been_read() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("SERVER__MAX_CONCURRENT_REQUESTS", 1)
        .setting("SERVER__MIN_BODY_BYTES_PER_SECOND", 1)
        .start();
    store_much(server.client());
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut reader = loop {
        let mut reader = RawConnection::narrow_saying(server.port(), EXPORT);
        // The permit of the last write may still be on its way back.
        if reader.read_until("\n").contains("200 OK") {
            break reader;
        }
        assert!(Instant::now() < deadline, "the export does not begin");
    };
    std::thread::sleep(Duration::from_millis(500));
    server
        .client()
        .post("/search", json!({"query": "x"}))
        .problem(503, "overloaded");
    server.client().get("/livez").ok();
    let (export, _) = reader.read_to_end();
    assert!(export.contains(&format!("{{\"end\":{{\"documents\":{MUCH}}}}}")));
    while search(server.client()) != 200 {
        assert!(Instant::now() < deadline, "the permit did not come back");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_answer_that_nobody_reads_is_given_up() {
    const READERS: usize = 5;
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("SERVER__WRITE_STALL_TIMEOUT_MS", 500)
        .start();
    store_much(server.client());
    let readers = [0; READERS].map(|_| RawConnection::narrow_saying(server.port(), EXPORT));
    let deadline = Instant::now() + Duration::from_secs(60);
    let given_up = "siamese_connections_closed_total{reason=\"write_stall\"}";
    while metric(&server, given_up) < READERS as f64 {
        assert!(Instant::now() < deadline, "{}", metric(&server, given_up));
        assert_eq!(search(server.client()), 200);
        std::thread::sleep(Duration::from_millis(50));
    }
    for mut reader in readers {
        let (export, _) = reader.read_to_end();
        assert!(!export.contains("{\"end\":{"), "it came to its end");
    }
}

#[test]
fn too_few_open_files_slow_callers_down_and_stop_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .max_open_files(64)
        .start();
    for _ in 0..3 {
        let _crowd = crowd(&server, 200, HALF_HEAD);
        assert_eq!(search(&newcomer(&server)), 200);
    }
    assert_eq!(search(&newcomer(&server)), 200);
    newcomer(&server).get("/readyz").ok();
}

#[test]
fn http_goes_on_as_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let port = server.port();
    let livez = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let close = "GET /encoder HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

    // Three requests in one piece are answered in their order.
    let (answers, _) = RawConnection::saying(port, &format!("{livez}{livez}{close}")).read_to_end();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert!(answers.trim_end().ends_with('}') && answers.contains("encoder_id"));

    // A client that waits for leave to send its body gets it.
    let mut waiting = RawConnection::saying(
        port,
        &format!("{SEARCH}Content-Length: 13\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"),
    );
    assert!(waiting.read_until("\r\n\r\n").starts_with("HTTP/1.1 100"));
    waiting.send(b"{\"query\":\"x\"}").unwrap();
    assert!(waiting.read_to_end().0.starts_with("HTTP/1.1 200"));

    // So does one whose answer begins before its body has come.
    let stream =
        "POST /documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n";
    let mut waiting = RawConnection::saying(
        port,
        &format!("{stream}Content-Length: 23\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"),
    );
    assert!(waiting.read_until("\r\n\r\n").starts_with("HTTP/1.1 100"));
    waiting.send(b"{\"id\":\"a\",\"text\":\"x\"}\n\n").unwrap();
    let (answer, _) = waiting.read_to_end();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("created"),
        "{answer}"
    );

    // One that is refused before its body was read is told that the connection ends.
    let odd = "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n";
    let (refused, _) = RawConnection::saying(port, odd).read_to_end();
    assert!(refused.starts_with("HTTP/1.1 415"), "{refused}");
    assert!(refused.contains("connection: close"), "{refused}");
    // So is one that is answered without a look at its body, which may be on its way still.
    let unasked = "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n";
    let (answer, _) = RawConnection::saying(port, unasked).read_to_end();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    // What is wrong with one that was read ends nothing.
    let wrong = "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let (answers, _) = RawConnection::saying(port, &format!("{wrong}{close}")).read_to_end();
    assert!(
        answers.starts_with("HTTP/1.1 422") && answers.contains("encoder_id"),
        "{answers}"
    );

    // HTTP/1.0 ends with its answer.
    let (old, _) = RawConnection::saying(port, "GET /livez HTTP/1.0\r\n\r\n").read_to_end();
    assert!(old.starts_with("HTTP/1.0 200"), "{old}");

    // One that says that it will send no more is answered.
    let mut half_closed = RawConnection::saying(port, livez);
    half_closed.finish_sending();
    assert!(half_closed.read_to_end().0.starts_with("HTTP/1.1 200"));

    // What is no HTTP is told so.
    let (answer, _) = RawConnection::saying(port, "hello\r\n\r\n").read_to_end();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}
