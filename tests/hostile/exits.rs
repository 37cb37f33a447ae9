//! The end: within its time, whatever clients and queues do.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::attacker::Attacker;
use crate::form::{is_full, short_or_full};
use crate::victim::{Victim, small_model};
use crate::wire::{Wire, bare, head};

/// Time that requests in progress are given; the default in the full form.
fn grace() -> Duration {
    short_or_full(Duration::from_secs(2), Duration::from_secs(25))
}

/// What a noisy machine needs to end a process.
const SLACK: Duration = Duration::from_secs(5);

fn victim() -> Victim {
    Victim::start_with(|options| {
        let options = options.setting("SERVER__SHUTDOWN_GRACE_MS", grace().as_millis());
        if is_full() {
            options
        } else {
            options.model(&small_model())
        }
    })
}

/// Sends SIGTERM to a server that is kept busy, and waits for its end.
fn ends_within_grace(name: &str, occupy: impl FnOnce(&Attacker) -> Vec<Wire>) {
    let victim = victim();
    let held = occupy(&victim.attacker());
    std::thread::sleep(Duration::from_millis(300));
    let asked_at = Instant::now();
    victim.server.signal_terminate();
    let status = victim.server.wait_at_most(grace() + SLACK);
    let took = asked_at.elapsed().as_secs_f64();
    eprintln!("| SIGTERM with {name} | {took:.1} s | {status:?} |");
    drop(held);
    assert!(status.is_some(), "{name}: no end after {took:.1} s");
}

fn send_on(attacker: &Attacker, connections: usize, request: &[u8]) -> Vec<Wire> {
    let wires = (0..connections).filter_map(|_| {
        let mut wire = Wire::open_narrow(attacker.address, attacker.port).ok()?;
        wire.send(request).ok()?;
        Some(wire)
    });
    wires.collect()
}

/// Documents that keep the encoder busy for longer than anybody waits at the end.
fn bulk() -> Vec<u8> {
    let text = "some words of a text that is long ".repeat(short_or_full(300, 40));
    let document = |n| json!({"id": format!("d{n}"), "text": format!("{n} {text}")});
    let documents: Vec<_> = (0..1000).map(document).collect();
    let body = json!({"documents": documents}).to_string();
    [
        head("POST", "/documents", "application/json", body.len()),
        body,
    ]
    .concat()
    .into_bytes()
}

#[test]
fn half_a_head_does_not_delay_the_end() {
    ends_within_grace("half a head", |attacker| {
        send_on(attacker, 10, b"GET /livez HTTP/1.1\r\nhost: local")
    });
}

#[test]
fn half_a_body_does_not_delay_the_end() {
    ends_within_grace("half a body", |attacker| {
        let half = format!("{}{{", head("POST", "/search", "application/json", 100));
        send_on(attacker, 10, half.as_bytes())
    });
}

#[test]
fn an_unfinished_upload_does_not_delay_the_end() {
    ends_within_grace("an unfinished upload", |attacker| {
        let head = "POST /documents HTTP/1.1\r\nhost: localhost\r\n\
            content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"id\"\r\n";
        send_on(attacker, 10, head.as_bytes())
    });
}

#[test]
fn a_reader_that_does_not_read_does_not_delay_the_end() {
    ends_within_grace("readers that do not read", |attacker| {
        let export = bare("GET", "/collections/bystanders/export?include=vectors");
        send_on(attacker, 10, export.as_bytes())
    });
}

#[test]
fn a_connection_that_is_kept_for_later_does_not_delay_the_end() {
    ends_within_grace("idle connections", |attacker| {
        send_on(
            attacker,
            10,
            b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
        )
    });
}

#[test]
fn a_full_bulk_lane_does_not_delay_the_end() {
    let body = bulk();
    ends_within_grace("a full bulk lane", |attacker| send_on(attacker, 4, &body));
}

#[test]
fn a_second_signal_ends_at_once() {
    let victim = Victim::start_with(|options| options.model(&small_model()));
    let held = send_on(&victim.attacker(), 4, &bulk());
    std::thread::sleep(Duration::from_millis(300));
    victim.server.signal_terminate();
    std::thread::sleep(Duration::from_millis(300));
    victim.server.signal_terminate();
    let status = victim.server.wait_at_most(Duration::from_secs(3));
    drop(held);
    assert!(status.is_some(), "it goes on after the second signal");
}
