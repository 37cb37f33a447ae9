//! Hosts, origins, and what browsers are told: a foreign web page neither reads nor writes.

use siamese_tests::{Answer, RawConnection, Server, ServerOptions};
use ureq::http::Method;

/// The status line and the code of an answer to a request with these header lines.
fn ask(server: &Server, line: &str, headers: &str) -> String {
    let request = format!("{line}\r\n{headers}Connection: close\r\nContent-Length: 2\r\n\r\n{{}}");
    RawConnection::saying(server.port(), &request)
        .read_to_end()
        .0
}

#[track_caller]
fn assert_status(answer: &str, status: u16, word: &str) {
    let is_status = answer.starts_with(&format!("HTTP/1.1 {status} "));
    assert!(is_status && answer.contains(word), "{answer}");
}

#[test]
fn a_name_that_was_made_to_point_here_is_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("SERVER__ALLOWED_HOSTS", "[search.internal]")
        .start();
    let port = server.port();
    let get = "GET /documents HTTP/1.1";
    for host in [
        "evil.example",
        "localhost.evil.example",
        "a@localhost",
        "8.8.8.8",
    ] {
        let answer = ask(&server, get, &format!("Host: {host}:{port}\r\n"));
        assert_status(&answer, 421, "host_not_allowed");
        assert!(answer.contains("server.allowed_hosts"), "{answer}");
    }
    for host in ["localhost", "127.0.0.1", "[::1]", "search.internal"] {
        assert_status(
            &ask(&server, get, &format!("Host: {host}:{port}\r\n")),
            200,
            "documents",
        );
    }
    assert_status(&ask(&server, get, ""), 400, "bad_host");
    let twice = "Host: localhost\r\nHost: evil.example\r\n";
    assert_status(&ask(&server, get, twice), 400, "");
    let absolute = "GET http://evil.example/documents HTTP/1.1";
    assert_status(
        &ask(&server, absolute, "Host: localhost\r\n"),
        421,
        "host_not_allowed",
    );
    // Who probes does not always choose the name.
    assert_status(
        &ask(&server, "GET /livez HTTP/1.1", "Host: probe\r\n"),
        200,
        "ok",
    );
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("SERVER__ALLOWED_ORIGINS", "[\"https://good.example\"]")
        .start();
    let json = "Host: localhost\r\nContent-Type: application/json\r\n";
    for line in [
        "POST /snapshots",
        "PUT /collections/x",
        "DELETE /collections/default",
    ] {
        for from in [
            "Origin: http://evil.example",
            "Origin: null",
            "Sec-Fetch-Site: cross-site",
        ] {
            let answer = ask(
                &server,
                &format!("{line} HTTP/1.1"),
                &format!("{json}{from}\r\n"),
            );
            assert_status(&answer, 403, "origin_not_allowed");
            assert!(answer.contains("server.allowed_origins"), "{answer}");
        }
    }
    for from in ["http://localhost", "https://good.example"] {
        let headers = format!("{json}Origin: {from}\r\n");
        assert_status(
            &ask(&server, "PUT /collections/x HTTP/1.1", &headers),
            201,
            "",
        );
        server.client().delete("/collections/x");
    }
}

#[test]
fn a_snapshot_takes_a_content_type_that_no_form_can_send() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let post = |content_type, body: &[u8]| {
        server
            .client()
            .send(Method::POST, "/snapshots", content_type, body)
    };
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        post(content_type, b"").problem(415, "unsupported_media_type");
        post(content_type, b"{}").problem(415, "unsupported_media_type");
    }
    post(Some("application/json"), b"{\"name\":1}").problem(422, "invalid_request");
    assert_eq!(post(Some("application/json"), b"").status, 201);
    assert_eq!(post(Some("application/json"), b"{}").status, 201);
}

#[test]
fn browsers_are_told_to_load_nothing_and_frame_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let header = |answer: &Answer, name: &str| {
        answer
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    for path in [
        "/",
        "/page/main.js",
        "/page/page.css",
        "/docs/",
        "/docs/swagger-ui.css",
        "/documents",
        "/nowhere",
        "/livez",
        "/metrics",
        "/openapi.json",
    ] {
        let answer = server.client().get(path);
        assert_eq!(
            header(&answer, "x-content-type-options").as_deref(),
            Some("nosniff"),
            "{path}"
        );
        assert!(header(&answer, "referrer-policy").is_some(), "{path}");
        let policy = header(&answer, "content-security-policy").unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
    }
    let page = server.client().get("/").text;
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains("<script>"));
}

#[test]
fn what_callers_invent_leaves_nothing_in_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    for n in 0..20 {
        let line = format!("INVENTED{n} /documents HTTP/1.1");
        assert_status(&ask(&server, &line, "Host: localhost\r\n"), 405, "");
        server.client().get(&format!("/invented{n}"));
    }
    let made = server
        .client()
        .send(Method::PUT, "/collections/short-lived", None, b"");
    assert_eq!(made.status, 201);
    let metrics = server.client().get("/metrics").text;
    assert!(metrics.contains("method=\"other\""), "{metrics}");
    assert!(!metrics.to_lowercase().contains("invented"), "{metrics}");
    assert!(
        metrics.contains("siamese_documents{collection=\"short-lived\"} 0"),
        "{metrics}"
    );
    server.client().delete("/collections/short-lived");
    let metrics = server.client().get("/metrics").text;
    assert!(!metrics.contains("short-lived"), "{metrics}");
    assert!(
        metrics.contains("siamese_documents{collection=\"default\"} 0"),
        "{metrics}"
    );
}

#[test]
fn pages_of_the_origins_in_the_settings_may_read_and_write_and_others_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting(
            "SERVER__ALLOWED_ORIGINS",
            "[\"https://search.example.org\"]",
        )
        .start();
    let preflight = |server: &Server, origin: &str| {
        let headers = format!(
            "Host: localhost\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n\
             Access-Control-Request-Headers: content-type, authorization\r\n"
        );
        ask(server, "OPTIONS /search HTTP/1.1", &headers).to_lowercase()
    };
    let answer = preflight(&server, "https://search.example.org");
    for part in [
        "http/1.1 200 ",
        "access-control-allow-origin: https://search.example.org",
        "put",
        "access-control-allow-headers: content-type, authorization",
    ] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    assert!(!preflight(&server, "https://evil.example").contains("access-control-allow-origin"));
    // Refusals are read by the page, too.
    for line in [
        "GET /documents HTTP/1.1",
        "GET /nothing HTTP/1.1",
        "POST /search HTTP/1.1",
    ] {
        let headers = "Host: localhost\r\nOrigin: https://search.example.org\r\n";
        let answer = ask(&server, line, headers).to_lowercase();
        assert!(
            answer.contains("access-control-allow-origin: https://search"),
            "{line}: {answer}"
        );
        let headers = "Host: localhost\r\nOrigin: https://evil.example\r\n";
        let answer = ask(&server, line, headers).to_lowercase();
        assert!(
            !answer.contains("access-control-allow-origin"),
            "{line}: {answer}"
        );
    }
    let plain = ServerOptions::tiny(&folder.path().join("plain")).start();
    let answer = preflight(&plain, "https://search.example.org");
    assert!(answer.starts_with("http/1.1 405 "), "{answer}");
}
