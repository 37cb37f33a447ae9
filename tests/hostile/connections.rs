//! Connections that want nothing, want it slowly, or want everything at once.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, prlimit, setrlimit};
use serde_json::json;
use siamese_tests::Client;
use ureq::http::Method;

use crate::attacker::{Attacker, Tally};
use crate::figures::Weight;
use crate::form::{hold_time, is_full, short_or_full};
use crate::trial::Trial;
use crate::victim::{Victim, small_model};
use crate::wire::Wire;

const CONNECTIONS: usize = 1100;

/// The attacker needs handles, too.
fn allow_many_handles() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum.or(Some(1 << 16)),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, wanted).expect("more handles");
}

/// Opens connections from one address, or each from another; sends the same on each.
fn open_all(attacker: &Attacker, are_many: bool, bytes: &[u8]) -> (Vec<Wire>, Tally) {
    let mut tally = Tally::default();
    let mut wires = Vec::new();
    for n in 0..CONNECTIONS {
        let from = if are_many {
            attacker.number(n)
        } else {
            *attacker
        };
        match from.connect() {
            Ok(mut wire) => {
                tally.add(if wire.send(bytes).is_ok() {
                    "connected"
                } else {
                    "hung up"
                });
                wires.push(wire);
            }
            Err(_) => tally.add("not connected"),
        }
    }
    (wires, tally)
}

/// Goes on sending a byte on each connection now and then.
fn trickle(wires: &mut Vec<Wire>, byte: &[u8]) {
    let rounds = hold_time().as_secs().max(1);
    for _ in 0..rounds {
        std::thread::sleep(Duration::from_secs(1));
        wires.retain_mut(|wire| wire.send(byte).is_ok());
    }
}

#[test]
fn a_thousand_connections_that_want_nothing_stop_nobody() {
    allow_many_handles();
    let mut trial = Trial::new(Victim::start);
    let half_head = b"GET /livez HTTP/1.1\r\nhost: local".as_slice();
    let slow_body =
        b"POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
        content-length: 100000\r\n\r\n{"
            .as_slice();
    let slow_lines = b"POST /documents HTTP/1.1\r\nhost: localhost\r\n\
        content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
        .as_slice();
    let kinds = [
        ("silent connections", b"".as_slice(), b"".as_slice()),
        ("half heads, a byte a second", half_head, b"h".as_slice()),
        ("bodies, a byte a second", slow_body, b" ".as_slice()),
        (
            "uploads, a byte a second",
            slow_lines,
            b"1\r\n \r\n".as_slice(),
        ),
    ];
    for (name, first, byte) in kinds {
        for (are_many, from) in [(false, "one address"), (true, "many addresses")] {
            if are_many && !is_full() {
                continue;
            }
            let name = format!("{CONNECTIONS} {name}, from {from}");
            trial.once(&name, Weight::Hundred, |attacker| {
                let (mut wires, tally) = open_all(attacker, are_many, first);
                trickle(&mut wires, byte);
                tally
            });
        }
    }
    trial.verdict();
}

#[test]
fn requests_by_the_thousand_on_one_connection_are_answered_as_they_are_read() {
    let mut trial = Trial::new(Victim::start);
    let count = short_or_full(5_000, 50_000);
    let one = "GET /info HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let requests = one.repeat(count);
    trial.once(
        &format!("{count} requests at once, answers not read"),
        Weight::One,
        |attacker| {
            let mut tally = Tally::default();
            let Ok(mut wire) = attacker.connect() else {
                return tally;
            };
            let patience = Some(Duration::from_millis(500));
            wire.0.set_write_timeout(patience).expect("a timeout");
            let taken = wire.send(requests.as_bytes()).is_ok();
            tally.add(if taken {
                "taken"
            } else {
                "not taken to the end"
            });
            std::thread::sleep(hold_time());
            tally
        },
    );
    let count = short_or_full(500, 5_000);
    trial.once(
        &format!("{count} connections opened and closed"),
        Weight::Hundred,
        |attacker| {
            attacker.together(8, |attacker, _| {
                let mut tally = Tally::default();
                for _ in 0..count / 8 {
                    tally.add(if attacker.connect().is_ok() {
                        "connected"
                    } else {
                        "not connected"
                    });
                }
                tally
            })
        },
    );
    trial.verdict();
}

#[test]
fn heads_without_measure_are_refused() {
    let mut trial = Trial::new(Victim::start);
    let many: String = (0..5_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let heads = [
        (
            "5 000 header fields",
            format!("GET /livez HTTP/1.1\r\nhost: a\r\n{many}\r\n"),
        ),
        (
            "a field of 380 kB",
            format!("GET /livez HTTP/1.1\r\nx: {}\r\n", "y".repeat(380_000)),
        ),
        (
            "a field of 4 MiB",
            format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(4 << 20)),
        ),
        (
            "a path of 60 kB",
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(60_000)),
        ),
        (
            "a path of 4 MiB",
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(4 << 20)),
        ),
    ];
    for (name, head) in heads {
        trial.once(&format!("100 times {name}"), Weight::Hundred, |attacker| {
            let mut wires = Vec::new();
            let mut tally = Tally::default();
            for _ in 0..100 {
                let Ok(mut wire) = attacker.connect() else {
                    continue;
                };
                let is_taken = wire.send(head.as_bytes()).is_ok();
                tally.add(if is_taken { "taken" } else { "hung up" });
                wires.push(wire);
            }
            std::thread::sleep(hold_time());
            tally
        });
    }
    let log = trial.victim.log_bytes();
    trial.expect(log < 2 << 20, &format!("the log has {log} bytes"));
    trial.verdict();
}

/// Writes while all handles are taken by connections that want nothing.
fn write_without_handles(trial: &mut Trial, name: &str) {
    let address = format!("http://127.0.0.1:{}", trial.victim.server.port());
    let client = Client::with_patience(address, Duration::from_secs(2));
    let put = |n: usize| {
        let body = json!({"documents": [{"id": format!("h{n}"), "text": "x"}]});
        let answer = client.try_json(Method::POST, "/documents", &body);
        answer.map_or_else(
            || "no answer".to_owned(),
            |answer| answer.status.to_string(),
        )
    };
    put(0);
    trial.once_beyond_limits(name, Weight::Hundred, |attacker| {
        let mut tally = Tally::default();
        let wires: Vec<_> = (0..300).map(|_| attacker.connect()).collect();
        for n in 0..short_or_full(3, 20) {
            tally.add(format!("a write: {}", put(n)));
        }
        drop(wires);
        tally
    });
}

#[test]
fn few_handles_from_the_start_are_shared_so_that_writes_go_on() {
    allow_many_handles();
    let few = || Victim::start_with(|options| options.model(&small_model()).max_open_files(160));
    let mut trial = Trial::new(few);
    write_without_handles(&mut trial, "300 connections and writes, 160 handles");
    trial.verdict();
}

#[test]
fn running_out_of_handles_refuses_what_needs_one_and_nothing_else() {
    allow_many_handles();
    let mut trial = Trial::new(Victim::start_small);
    let process = trial.process();
    let few = Rlimit {
        current: Some(process.handles() as u64 + 20),
        maximum: Some(4096),
    };
    prlimit(Some(process.0), Resource::Nofile, few).expect("fewer handles");
    // The limit stays, so that the process recovers by itself or not at all.
    write_without_handles(&mut trial, "300 connections and writes, 20 handles left");
    trial.verdict();
}

#[test]
fn a_hundred_connections_each_at_its_worst_are_bounded_together() {
    allow_many_handles();
    let mut trial = Trial::new(Victim::start);
    let empty = "{}"
        .repeat(short_or_full(2 << 20, 15 << 20))
        .replace("}{", "},{");
    let batch = format!("{{\"searches\":[{empty}]}}").into_bytes();
    let text = "x ".repeat(200_000);
    let search = json!({"query": "bystander", "top_k": 100, "exact": true,
        "include": ["text", "metadata", "passages", "vector", "highlights"]});
    let searches = json!({"searches": vec![search; 100]})
        .to_string()
        .into_bytes();
    let documents: Vec<_> = (0..20)
        .map(|n| json!({"id": format!("w{n}"), "text": text}))
        .collect();
    let documents = json!({"documents": documents}).to_string().into_bytes();
    trial.once(
        "100 connections, each at its worst",
        Weight::Hundred,
        |attacker| {
            attacker.together(100, |attacker, n| match n % 5 {
                0 => Tally::from(attacker.post("/search/batch", &batch)),
                1 => Tally::from(attacker.post("/collections/bystanders/search/batch", &searches)),
                2 => Tally::from(hang_up_after(attacker, &documents)),
                3 => Tally::from(attacker.get("/collections/bystanders/export?include=vectors")),
                _ => Tally::from(attacker.get("/metrics")),
            })
        },
    );
    trial.verdict();
}

/// Sends documents, and does not wait until they are encoded.
fn hang_up_after(attacker: &Attacker, body: &[u8]) -> crate::wire::Reply {
    let Ok(mut wire) = attacker.connect() else {
        return crate::wire::Reply::default();
    };
    let head = crate::wire::head("POST", "/documents", "application/json", body.len());
    drop(wire.request(&head, body));
    std::thread::sleep(hold_time());
    wire.hang_up();
    crate::wire::Reply::default()
}
