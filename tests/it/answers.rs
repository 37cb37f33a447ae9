//! How large answers may be: one by itself, and all together.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use siamese_tests::{Server, ServerOptions};
use ureq::http::Method;

const DOCUMENTS: usize = 60;
const TEXT_BYTES: usize = 400_000;

/// Large documents that are quickly encoded: what follows the first words is one long word.
fn fill(server: &Server) {
    let client = server.client();
    client
        .send(
            Method::PUT,
            "/collections/default",
            Some("application/json"),
            br#"{"chunking": {"mode": "off"}}"#,
        )
        .ok();
    for first in (0..DOCUMENTS).step_by(10) {
        let document = |n: usize| {
            let text = format!("lamp number {n} {}", "x".repeat(TEXT_BYTES));
            json!({"id": format!("d{n:02}"), "text": text, "metadata": {"n": n}})
        };
        let documents: Vec<Value> = (first..first + 10).map(document).collect();
        client
            .post("/documents", json!({"documents": documents}))
            .ok();
    }
}

/// The most memory that the process has taken so far, bytes.
fn peak_bytes(server: &Server) -> Option<u64> {
    let status =
        fs_err::read_to_string(format!("/proc/{}/status", server.pid().as_raw_nonzero())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib << 10)
}

fn search(include: &[&str]) -> Value {
    json!({"query": "lamp", "top_k": DOCUMENTS, "include": include})
}

#[test]
fn a_small_request_cannot_ask_for_gigabytes() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path()).start();
    fill(&server);
    let client = server.client();
    // Each passage is a whole text here, so a few hits of each are 40 MB.
    let few = json!({"query": "lamp", "top_k": 10, "include": ["metadata"]});
    let answer = client
        .post("/search/batch", json!({"searches": vec![few; 10]}))
        .ok();
    assert_eq!(answer["results"][9]["hits"].as_array().unwrap().len(), 10);
    let before = peak_bytes(&server);
    // 100 searches of 60 hits of 400 kB are 2.4 GB.
    let with_text = json!({"searches": vec![search(&["text"]); 100]});
    let refused = client.post("/search/batch", with_text);
    let problem = refused.problem(422, "response_too_large");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("limits.max_response_bytes"), "{detail}");
    if let (Some(before), Some(after)) = (before, peak_bytes(&server)) {
        let grown = after.saturating_sub(before);
        eprintln!("an answer of 2.4 GB was refused after {grown} bytes more");
        assert!(grown < 150 << 20, "{grown} bytes more");
    }
    // What fits is given whole.
    let answer = client.post("/search", search(&["text"])).ok();
    let hits = answer["hits"].as_array().unwrap();
    assert!(
        hits.iter()
            .all(|hit| hit["text"].as_str().unwrap().len() > TEXT_BYTES)
    );
    let page = client.get("/documents?limit=60&include=text").ok();
    assert_eq!(page["documents"].as_array().unwrap().len(), DOCUMENTS);
    assert_eq!(page["next_cursor"], "d59");
}

#[test]
fn answers_over_their_limit_are_refused_at_every_route_that_makes_large_ones() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("LIMITS__MAX_RESPONSE_BYTES", 10_000)
        .start();
    let client = server.client();
    let text = "a word ".repeat(300);
    let document = |n: usize| {
        let tags: Vec<String> = (0..30)
            .map(|tag| format!("{n}-{tag}-{}", "t".repeat(200)))
            .collect();
        json!({"id": format!("d{n}"), "text": text, "metadata": {"tags": tags}})
    };
    let documents: Vec<Value> = (0..5).map(document).collect();
    client
        .post("/documents", json!({"documents": documents}))
        .ok();
    let texts: Vec<String> = (0..10).map(|n| format!("text {n}")).collect();
    let words: Vec<String> = (0..40).map(|n| format!("w{n}")).collect();
    for (path, body) in [
        ("/search", json!({"query": "word", "include": ["text"]})),
        (
            "/search",
            json!({"query": "word", "facets": ["tags"], "include": ["metadata"]}),
        ),
        (
            "/search/batch",
            json!({"searches": vec![json!({"query": "word", "include": ["text"], "top_k": 1}); 5]}),
        ),
        ("/v1/embeddings", json!({"input": texts})),
        ("/embed", json!({"inputs": texts})),
        ("/similarity", json!({"left": words, "right": words})),
    ] {
        client.post(path, body).problem(422, "response_too_large");
    }
    client
        .get("/documents?include=text")
        .problem(422, "response_too_large");
    client
        .get("/documents/d0?include=vectors")
        .problem(422, "response_too_large");
    // Asking for less at once helps, as the problem says.
    client.get("/documents?include=text&limit=1").ok();
    client
        .post("/search", json!({"query": "word", "include": []}))
        .ok();
    client.get("/documents/d0").ok();
    // A stream is as long as it is.
    let export = client.get("/export?include=vectors");
    assert!(export.text.len() > 100_000 && export.text.contains("\"end\""));
}

#[test]
fn answers_that_nobody_reads_take_bounded_room_and_small_ones_are_given_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path())
        .setting("LIMITS__MAX_RESPONSES_IN_FLIGHT_BYTES", 64 << 20)
        .start();
    fill(&server);
    let before = peak_bytes(&server);
    let body = search(&["text"]).to_string();
    let request = format!(
        "POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let unread: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(60)))
                .unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    let mut starts = Vec::new();
    for mut stream in &unread {
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        starts.push(String::from_utf8_lossy(&start).into_owned());
    }
    let given = starts.iter().filter(|start| start.ends_with("200")).count();
    let refused = starts.iter().filter(|start| start.ends_with("503")).count();
    assert_eq!(
        (given + refused, given >= 1, refused >= 1),
        (8, true, true),
        "{starts:?}"
    );
    // Once those that were refused have let go of what they had read.
    let small = || {
        let answer = server
            .client()
            .post("/search", json!({"query": "lamp", "include": []}));
        std::thread::sleep(Duration::from_millis(50));
        answer
    };
    let is_given = (0..100).any(|_| small().status == 200);
    assert!(is_given, "{:?}", small());
    if let (Some(before), Some(after)) = (before, peak_bytes(&server)) {
        assert!(after.saturating_sub(before) < 150 << 20, "{before} {after}");
    }
    drop(unread);
    // What nobody waits for any more gives its room back.
    let large = || server.client().post("/search", search(&["text"])).status;
    let is_given = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        large() == 200
    });
    assert!(is_given, "room has not come back");
}
