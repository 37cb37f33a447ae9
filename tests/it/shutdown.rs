//! SIGTERM: what was accepted is finished, everything is durable, the exit code is 0.

use std::time::{Duration, Instant};

use serde_json::json;
use siamese_tests::{IngestStream, RawConnection, Server, ServerOptions};

/// A service that would wait for a minute, were there something to wait for.
fn patient(folder: &std::path::Path) -> Server {
    ServerOptions::tiny(folder)
        .setting("SERVER__SHUTDOWN_GRACE_MS", 60_000)
        .start()
}

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
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.terminate().success());
    let answer = request.join().unwrap().ok();
    assert_eq!(answer["results"].as_array().unwrap().len(), 40);

    let server = Server::start(folder.path());
    assert_eq!(
        server.client().get("/collections/default").ok()["documents"],
        40
    );
}

#[test]
fn connections_without_a_request_do_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = patient(folder.path());
    let port = server.port();
    let _silent = RawConnection::open(port);
    let _half = RawConnection::saying(port, "POST /search HTTP/1.1\r\nHost: loc");
    let mut idle = RawConnection::saying(port, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(idle.read_until("}").contains("200 OK"));
    let told_at = Instant::now();
    assert!(server.terminate().success());
    assert!(told_at.elapsed() < Duration::from_secs(20));
}

/// A request whose body does not come to its end, and would be waited for.
fn stuck(port: u16) -> RawConnection {
    let head = "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let stuck = RawConnection::saying(port, &format!("{head}Content-Length: 99\r\n\r\n{{"));
    std::thread::sleep(Duration::from_millis(300));
    stuck
}

#[test]
fn a_client_that_is_stuck_is_dropped_within_the_grace() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("SERVER__SHUTDOWN_GRACE_MS", 2000)
        .setting("SERVER__BODY_GRACE_MS", 60_000)
        .start();
    let _stuck = stuck(server.port());
    let told_at = Instant::now();
    assert!(server.terminate().success());
    let took = told_at.elapsed();
    assert!(
        took > Duration::from_secs(1) && took < Duration::from_secs(10),
        "{took:?}"
    );
}

#[test]
fn a_second_signal_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = patient(folder.path());
    let _stuck = stuck(server.port());
    server.signal_terminate();
    std::thread::sleep(Duration::from_millis(300));
    let told_at = Instant::now();
    server.signal_terminate();
    assert_eq!(server.wait().code(), Some(143));
    assert!(told_at.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_full_queue_does_not_hold_up_the_end_and_what_was_not_stored_is_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("SERVER__SHUTDOWN_GRACE_MS", 10_000)
        .start();
    let requests: Vec<_> = (0..4)
        .map(|request| {
            let client = server.client().clone();
            let text = "word ".repeat(20_000);
            let documents: Vec<_> = (0..8)
                .map(|n| json!({"id": format!("{request}-{n}"), "text": format!("{n} {text}")}))
                .collect();
            let body = json!({"documents": documents});
            std::thread::spawn(move || {
                client.try_json("POST".parse().unwrap(), "/documents", &body)
            })
        })
        .collect();
    let queued = Instant::now() + Duration::from_secs(60);
    while !server.client().get("/metrics").text.lines().any(|line| {
        let tokens = line.strip_prefix("siamese_encode_queue_tokens{lane=\"bulk\"} ");
        tokens.is_some_and(|tokens| tokens.parse::<f64>().unwrap() > 300_000.0)
    }) {
        assert!(Instant::now() < queued, "the queue does not fill");
        std::thread::sleep(Duration::from_millis(20));
    }
    let told_at = Instant::now();
    assert!(server.terminate().success());
    let took = told_at.elapsed();
    // What waits would take minutes.
    assert!(took < Duration::from_secs(20), "{took:?}");
    let acknowledged = requests
        .into_iter()
        .filter_map(|request| request.join().unwrap());
    let stored = acknowledged.filter(|answer| answer.status == 200).count() * 8;
    let server = Server::start(folder.path());
    assert_eq!(
        server.client().get("/collections/default").ok()["documents"],
        stored
    );
}

#[test]
fn a_signal_while_the_model_is_being_loaded_ends_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("SERVER__SHUTDOWN_GRACE_MS", 60_000)
        .start_loading();
    while server.client().try_get("/livez").is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let told_at = Instant::now();
    assert!(server.terminate().success());
    assert!(told_at.elapsed() < Duration::from_secs(20));
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_disk_that_hangs_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (data, hanging) = (folder.path().join("data"), folder.path().join("hanging"));
    let server = ServerOptions::tiny(&data)
        .environment("LD_PRELOAD", &siamese_tests::io_shim(folder.path()))
        .environment("SIAMESE_IO_ROOT", &data)
        .environment("SIAMESE_IO_FAIL", &hanging)
        .setting("SERVER__SHUTDOWN_GRACE_MS", 2000)
        .start();
    let documents = json!({"documents": [{"id": "a", "text": "x"}]});
    server.client().post("/documents", documents.clone()).ok();
    fs_err::write(&hanging, "h").unwrap();
    let client = server.client().clone();
    let unlucky = std::thread::spawn(move || {
        let documents = json!({"documents": [{"id": "b", "text": "y"}]});
        client.try_json("POST".parse().unwrap(), "/documents", &documents)
    });
    std::thread::sleep(Duration::from_millis(500));
    let told_at = Instant::now();
    assert_eq!(server.terminate().code(), Some(3));
    assert!(told_at.elapsed() < Duration::from_secs(10));
    assert!(
        unlucky.join().unwrap().is_none(),
        "nothing was acknowledged"
    );
    fs_err::remove_file(&hanging).unwrap();
    let server = ServerOptions::tiny(&data).start();
    server.client().get("/documents/a").ok();
}
