//! Small doors: invented names, foreign hosts and origins, and requests that are odd in every way.

use serde_json::json;
use ureq::http::Method;

use crate::attacker::{Attacker, Tally};
use crate::figures::Weight;
use crate::form::short_or_full;
use crate::trial::Trial;
use crate::victim::Victim;
use crate::wire::bare;

/// What invented names may add to `/metrics`, bytes.
const MAX_METRICS_GROWTH: usize = 20_000;

fn metrics_bytes(victim: &Victim) -> usize {
    victim.client().get("/metrics").text.len()
}

#[test]
fn invented_methods_and_paths_leave_no_trace_in_metrics() {
    let mut trial = Trial::new(Victim::start_small);
    let before = metrics_bytes(&trial.victim);
    trial.once(
        "500 invented methods on 10 paths",
        Weight::Hundred,
        |attacker| {
            let paths = [
                "/livez",
                "/search",
                "/documents",
                "/documents/a",
                "/info",
                "/metrics",
                "/collections",
                "/collections/a",
                "/snapshots/a",
                "/nowhere",
            ];
            attacker.together(10, |attacker, place| {
                let mut tally = Tally::default();
                for n in 0..500 {
                    let head = bare(&format!("INVENTED{n}"), paths[place]);
                    tally.add_reply(&attacker.send(&head, b""));
                }
                tally
            })
        },
    );
    let count = short_or_full(1_000, 5_000);
    trial.once(
        &format!("{count} invented paths"),
        Weight::Hundred,
        |attacker| {
            attacker.together(10, |attacker, place| {
                let mut tally = Tally::default();
                for n in 0..count / 10 {
                    tally.add_reply(&attacker.get(&format!("/{place}/{n}")));
                    tally.add_reply(&attacker.get(&format!("/collections/c{place}-{n}")));
                }
                tally
            })
        },
    );
    let growth = metrics_bytes(&trial.victim).saturating_sub(before);
    trial.expect(
        growth < MAX_METRICS_GROWTH,
        &format!("/metrics has grown by {growth} bytes"),
    );
    let log = trial.victim.log_bytes();
    trial.expect(log < 20 << 20, &format!("the log has {log} bytes"));
    trial.verdict();
}

#[test]
fn collections_that_are_gone_leave_no_trace_in_metrics() {
    let mut trial = Trial::new(Victim::start_small);
    let before = metrics_bytes(&trial.victim);
    let count = short_or_full(40, 900);
    trial.once(
        &format!("{count} collections made, asked about, deleted"),
        Weight::Hundred,
        |attacker| {
            let mut tally = Tally::default();
            let body = b"{}";
            for n in 0..count {
                let path = format!("/collections/c{n}");
                let head = crate::wire::head("PUT", &path, "application/json", body.len());
                tally.add_reply(&attacker.send(&head, body));
            }
            tally.merge(attacker.together(short_or_full(10, 100), |attacker, _| {
                Tally::from(attacker.get("/metrics"))
            }));
            for n in 0..count {
                tally
                    .add_reply(&attacker.send(&bare("DELETE", &format!("/collections/c{n}")), b""));
            }
            tally
        },
    );
    let growth = metrics_bytes(&trial.victim).saturating_sub(before);
    trial.expect(
        growth < MAX_METRICS_GROWTH,
        &format!("/metrics has grown by {growth} bytes"),
    );
    trial.verdict();
}

#[test]
fn snapshots_asked_for_by_many_at_once_are_refused_but_one() {
    let mut trial = Trial::new(Victim::start_small);
    let body = b"{}";
    let head = crate::wire::head("POST", "/snapshots", "application/json", body.len());
    let answered = trial.once("50 snapshots at once", Weight::Hundred, |attacker| {
        attacker.together(50, |attacker, _| Tally::from(attacker.send(&head, body)))
    });
    trial.expect(
        answered.all(|what| what == "201" || what == "409"),
        &format!("answered {answered}"),
    );
    trial.verdict();
}

/// The status of a request with these header fields and this body.
fn ask(attacker: &Attacker, line: &str, fields: &str, body: &str) -> u16 {
    let length = body.len();
    let head =
        format!("{line} HTTP/1.1\r\nconnection: close\r\n{fields}content-length: {length}\r\n\r\n");
    attacker.send(&head, body.as_bytes()).status
}

#[track_caller]
fn assert_refused(status: u16, what: &str) {
    assert!((400..500).contains(&status), "{what}: {status}");
}

#[test]
fn a_foreign_host_reaches_nothing() {
    let victim = Victim::start_small();
    let attacker = victim.attacker();
    let hosts = [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "169.254.1.1",
    ];
    for host in hosts {
        for line in [
            "GET /documents",
            "GET /export",
            "DELETE /collections/bystanders",
        ] {
            let status = ask(&attacker, line, &format!("host: {host}\r\n"), "");
            assert_refused(status, &format!("{line} of {host}"));
        }
    }
    let absolute = "GET http://evil.example/documents";
    assert_refused(
        ask(&attacker, absolute, "host: localhost\r\n", ""),
        absolute,
    );
    assert_refused(ask(&attacker, "GET /documents", "", ""), "no host");
    let with_port = format!("localhost:{}", attacker.port);
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "[::1]", &with_port] {
        let status = ask(
            &attacker,
            "GET /documents",
            &format!("host: {host}\r\n"),
            "",
        );
        assert_eq!(status, 200, "{host}");
    }
}

#[test]
fn a_page_of_another_origin_writes_nothing() {
    let victim = Victim::start_small();
    let attacker = victim.attacker();
    let document = json!({"documents": [{"id": "x", "text": "y"}]}).to_string();
    for origin in [
        "http://evil.example",
        "null",
        "http://localhost.evil.example",
    ] {
        let fields =
            format!("host: localhost\r\ncontent-type: application/json\r\norigin: {origin}\r\n");
        for (line, body) in [
            ("POST /documents", document.as_str()),
            ("PUT /collections/x", "{}"),
            ("DELETE /collections/bystanders", ""),
            ("POST /snapshots", "{}"),
        ] {
            let status = ask(&attacker, line, &fields, body);
            assert_refused(status, &format!("{line} of {origin}"));
        }
    }
    let form = "host: localhost\r\ncontent-type: text/plain\r\n";
    assert_refused(
        ask(&attacker, "POST /snapshots", form, ""),
        "a snapshot by a form",
    );
}

/// What a parser of requests may stumble over.
const ODD_REQUESTS: &[&str] = &[
    "GET / HTTP/1.0\r\n\r\n",
    "GET /livez HTTP/0.9\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET /livez HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    "CONNECT localhost:1 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "TRACE / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    "GET /documents/%00 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    "GET /documents/%ff%fe HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    "GET /documents/..%2f..%2fetc HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    "GET /snapshots/..%2f..%2fdata HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    "GET /snapshots/%2e%2e HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    "GET /documents?limit=99999999999999999999 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    "GET /documents?limit=1&limit=2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    "POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
    "POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    "POST /search HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "GET /livez HTTP/1.1\r\nhost: localhost\r\nx-request-id: \u{1}\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}",
    "\r\n\r\n\r\n\r\n",
];

#[test]
fn odd_requests_are_answered_with_4xx() {
    let mut trial = Trial::new(Victim::start_small);
    let answered = trial.once(
        "requests that are odd in every way",
        Weight::One,
        |attacker| {
            let mut tally = Tally::default();
            for request in ODD_REQUESTS {
                let Ok(mut wire) = attacker.connect() else {
                    continue;
                };
                drop(wire.send(request.as_bytes()));
                drop(wire.0.shutdown(std::net::Shutdown::Write));
                tally.add_reply(&wire.reply());
            }
            tally
        },
    );
    trial.expect(
        answered.all(|what| !what.starts_with('5')),
        "an odd request is answered with 5xx",
    );
    let ids = [
        "\u{0}",
        "a/b",
        "..",
        "%2e",
        "\u{202e}",
        "\u{1f600}",
        "a\nb",
        " ",
        "\u{feff}",
    ];
    let client = trial.victim.client().clone();
    let answered = trial.once("ids of odd characters", Weight::One, |_| {
        let mut tally = Tally::default();
        for id in ids {
            let body = json!({"documents": [{"id": id, "text": "x"}]});
            let answer = client.try_json(Method::POST, "/documents", &body);
            tally.add(answer.map_or_else(
                || "no answer".to_owned(),
                |answer| answer.status.to_string(),
            ));
        }
        tally
    });
    trial.expect(
        answered.all(|what| what == "200" || what == "422"),
        "an odd id is not answered well",
    );
    trial.verdict();
}
