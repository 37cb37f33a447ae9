//! Bodies that come compressed, honest ones and bombs.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use siamese_tests::{RawConnection, Server, ServerOptions};

const MIB: usize = 1 << 20;

/// `{"inputs":"rain"}` in each encoding.
const RAIN: [(&str, &str); 5] = [
    (
        "gzip",
        "1f8b0800000000000203ab56cacc2b282d2956b2522a4acccc53aa050075422d2111000000",
    ),
    (
        "X-GZIP",
        "1f8b0800000000000203ab56cacc2b282d2956b2522a4acccc53aa050075422d2111000000",
    ),
    (
        "deflate",
        "789cab56cacc2b282d2956b2522a4acccc53aa0500375d0608",
    ),
    ("br", "0b08807b22696e70757473223a227261696e227d03"),
    (
        "zstd",
        "28b52ffd20118900007b22696e70757473223a227261696e227d",
    ),
];
/// The same, by a frame that asks for a window of 128 MiB.
const WIDE_WINDOW: &str = "28b52ffd00888900007b22696e70757473223a227261696e227d";

fn bytes(hex: &str) -> Vec<u8> {
    let digits = (0..hex.len())
        .step_by(2)
        .map(|place| &hex[place..place + 2]);
    digits
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Status line, headers and body of the answer to a compressed body.
fn post(server: &Server, path: &str, content_type: &str, encoding: &str, body: &[u8]) -> String {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n\
         Content-Encoding: {encoding}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut connection = RawConnection::saying(server.port(), &head);
    // It may be refused before all of it has been sent.
    drop(connection.send(body));
    connection.read_to_end().0
}

fn json_body(answer: &str) -> Value {
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    serde_json::from_str(body).unwrap_or_default()
}

#[test]
fn compressed_bodies_are_read_as_what_they_were_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let plain = server
        .client()
        .post("/embed", json!({"inputs": "rain"}))
        .ok();
    for (encoding, body) in RAIN {
        let answer = post(
            &server,
            "/embed",
            "application/json",
            encoding,
            &bytes(body),
        );
        assert_eq!(json_body(&answer), plain, "{encoding}: {answer}");
    }
    let lines = "{\"id\": \"a\", \"text\": \"rain\"}\n{\"text\": \"\"}\n".repeat(100);
    // Two streams, one after the other, are one.
    let (first, second) = lines.as_bytes().split_at(1000);
    let body = [gzip(first), gzip(second)].concat();
    let answer = post(&server, "/documents", "application/x-ndjson", "gzip", &body);
    assert!(answer.contains("\"failed\":100"), "{answer}");
    server.client().get("/documents/a").ok();
}

#[test]
fn what_is_not_compressed_as_it_says_is_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let json = "application/json";
    for encoding in ["compress", "gzip, br", "rot13"] {
        let answer = post(&server, "/embed", json, encoding, b"{}");
        assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
        assert!(answer.contains("gzip, deflate, br, zstd"), "{answer}");
        assert!(
            answer.to_lowercase().contains("accept-encoding:"),
            "{answer}"
        );
    }
    let cut = &bytes(RAIN[0].1)[..20];
    for (encoding, body) in [
        ("gzip", &b"{\"inputs\": \"rain\"}"[..]),
        ("deflate", b"{\"inputs\": \"rain\"}"),
        ("br", b"\xff\xff\xff\xff\xff"),
        ("zstd", b"{\"inputs\": \"rain\"}"),
        ("gzip", cut),
        ("zstd", &bytes(WIDE_WINDOW)),
    ] {
        let answer = post(&server, "/embed", json, encoding, body);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{encoding}: {answer}");
        assert!(
            answer.contains("could not be decompressed"),
            "{encoding}: {answer}"
        );
    }
    let body = [
        gzip(b"{\"id\": \"a\", \"text\": \"rain\"}\n"),
        b"nonsense".to_vec(),
    ]
    .concat();
    let answer = post(&server, "/documents", "application/x-ndjson", "gzip", &body);
    assert!(answer.contains("\"created\":1"), "{answer}");
}

#[test]
fn the_limits_hold_for_what_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("LIMITS__MAX_BODY_BYTES", MIB)
        .setting("LIMITS__MAX_LINE_BYTES", MIB)
        .start();
    let bomb = gzip(&vec![b' '; 64 * MIB]);
    assert!(bomb.len() < MIB / 8);
    for path in ["/embed", "/documents", "/v1/embeddings", "/search"] {
        let answer = post(&server, path, "application/json", "gzip", &bomb);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
        assert!(answer.contains("limits.max_body_bytes"), "{answer}");
    }
    let answer = post(&server, "/documents", "application/x-ndjson", "gzip", &bomb);
    assert!(answer.contains("limits.max_line_bytes"), "{answer}");
    let blank_lines = gzip(&vec![b'\n'; 64 * MIB]);
    let answer = post(
        &server,
        "/documents",
        "application/x-ndjson",
        "gzip",
        &blank_lines,
    );
    assert!(answer.contains("\"summary\""), "{answer}");
}

#[test]
fn a_length_over_the_limit_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("LIMITS__MAX_BODY_BYTES", MIB)
        .start();
    for (path, encoding) in [
        ("/documents", ""),
        ("/documents/", "Content-Encoding: gzip\r\n"),
        ("/collections/default/documents", ""),
        ("/search", "Expect: 100-continue\r\n"),
        ("/v1/embeddings", ""),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{encoding}\
             Content-Length: {}\r\n\r\n",
            MIB + 1
        );
        let mut connection = RawConnection::saying(server.port(), &head);
        let answer = connection.read_until("\r\n");
        assert_eq!(answer, "HTTP/1.1 413 Payload Too Large\r\n", "{path}");
    }
    // Who sends all of it before it reads can read why it was not taken.
    let answer = server.client().send(
        ureq::http::Method::POST,
        "/documents",
        Some("application/json"),
        &vec![b' '; 16 * MIB],
    );
    answer.problem(413, "payload_too_large");
}
