//! Uploads that do not end, and downloads that nobody reads.

use std::time::{Duration, Instant};

use crate::answers::victim_of_large_documents;
use crate::attacker::{Attacker, Tally};
use crate::figures::Weight;
use crate::form::{hold_time, short_or_full};
use crate::trial::Trial;
use crate::victim::Victim;
use crate::wire::{Wire, bare};

const NDJSON: &str = "POST /documents HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
    content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// Sends for as long as the victim takes it, at most for the time of an attack; what is sent is
/// never read back. The connections stay open until all have had their time.
fn pour(attacker: &Attacker, head: &str, bytes: &[u8], until: Instant) -> (Option<Wire>, Tally) {
    let mut tally = Tally::default();
    let Ok(mut wire) = attacker.connect() else {
        tally.add("not connected");
        return (None, tally);
    };
    let patience = Some(Duration::from_millis(200));
    wire.0.set_write_timeout(patience).expect("a timeout");
    if wire.send(head.as_bytes()).is_err() {
        tally.add("hung up");
        return (None, tally);
    }
    let sent = send_until(&mut wire, bytes, until);
    tally.add(if sent == bytes.len() {
        "taken"
    } else {
        "not taken to the end"
    });
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    (Some(wire), tally)
}

fn send_until(wire: &mut Wire, bytes: &[u8], until: Instant) -> usize {
    use std::io::{ErrorKind, Write};
    let mut sent = 0;
    while sent < bytes.len() && Instant::now() < until {
        let piece = &bytes[sent..bytes.len().min(sent + (1 << 16))];
        match wire.0.write(piece) {
            Ok(written) => sent += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    sent
}

fn pour_together(attacker: &Attacker, connections: usize, head: &str, bytes: &[u8]) -> Tally {
    let until = Instant::now() + hold_time();
    attacker.together(connections, |attacker, _| {
        pour(attacker, head, bytes, until).1
    })
}

#[test]
fn unfinished_lines_of_many_uploads_are_bounded_together() {
    let mut trial = Trial::new(Victim::start);
    let connections = short_or_full(100, 200);
    let head = br#"{"id":"a","text":""#;
    let line = chunk(&[&head[..], &vec![b'x'; 4 << 20][..]].concat()[..(4 << 20) - 64]);
    let name = format!("{connections} lines of 4 MiB without an end");
    trial.once(&name, Weight::Hundred, |attacker| {
        pour_together(attacker, connections, NDJSON, &line)
    });
    trial.verdict();
}

#[test]
fn uploads_of_whole_lines_whose_answers_nobody_reads_are_bounded() {
    let mut trial = Trial::new(Victim::start);
    let kinds: &[(&str, Vec<u8>)] = &[
        ("empty lines", b"\n".repeat(1 << 20)),
        ("lines of {}", b"{}\n".repeat(1 << 20)),
        ("broken lines of 1 MiB", {
            let line = [&vec![b'x'; 1 << 20][..], b"\n"].concat();
            line.repeat(4)
        }),
        ("lines with metadata of 300 000 keys", {
            let keys: Vec<String> = (0..300_000).map(|n| format!("\"k{n:x}\":0")).collect();
            let line = format!(
                "{{\"id\":\"a\",\"text\":\"x\",\"metadata\":{{{}}}}}\n",
                keys.join(",")
            );
            line.repeat(3).into_bytes()
        }),
    ];
    let connections = short_or_full(10, 50);
    for (name, bytes) in kinds {
        let body = chunk(bytes);
        let name = format!("{connections} uploads of {name}, answers not read");
        trial.once(&name, Weight::Hundred, |attacker| {
            pour_together(attacker, connections, NDJSON, &body)
        });
    }
    trial.verdict();
}

/// Asks for something large, reads a little, and then holds the connection.
fn read_a_little(attacker: &Attacker, connections: usize, request: &str, bytes: usize) -> Tally {
    let mut tally = Tally::default();
    let mut wires = Vec::new();
    for _ in 0..connections {
        let Ok(mut wire) = Wire::open_narrow(attacker.address, attacker.port) else {
            tally.add("not connected");
            continue;
        };
        drop(wire.send(request.as_bytes()));
        if bytes > 0 {
            wire.read_some(bytes);
        }
        tally.add("held");
        wires.push(wire);
    }
    std::thread::sleep(hold_time());
    wires.into_iter().for_each(Wire::hang_up);
    tally
}

#[test]
fn readers_that_do_not_read_are_bounded_together() {
    let mut trial = Trial::new(victim_of_large_documents);
    let export = bare("GET", "/collections/large/export?include=vectors");
    let page = bare(
        "GET",
        "/collections/large/documents?limit=1000&include=text",
    );
    trial.once(
        "15 exports that nobody reads",
        Weight::Hundred,
        |attacker| read_a_little(attacker, 15, &export, 0),
    );
    trial.once(
        "15 exports read to their middle",
        Weight::Hundred,
        |attacker| read_a_little(attacker, 15, &export, 100_000),
    );
    let connections = short_or_full(40, 100);
    let name = format!("{connections} exports that nobody reads");
    trial.once(&name, Weight::Hundred, |attacker| {
        read_a_little(attacker, connections, &export, 0)
    });
    let name = format!("{connections} pages of all texts that nobody reads");
    trial.once(&name, Weight::Hundred, |attacker| {
        read_a_little(attacker, connections, &page, 0)
    });
    trial.verdict();
}

#[test]
fn downloads_of_a_snapshot_that_nobody_reads_take_little() {
    let mut trial = Trial::new(victim_of_large_documents);
    let made = trial
        .victim
        .client()
        .post("/snapshots", serde_json::json!({}));
    let name = made.ok()["name"].as_str().expect("a name").to_owned();
    let connections = short_or_full(40, 100);
    let title = format!("{connections} downloads of a snapshot that nobody reads");
    let download = bare("GET", &format!("/snapshots/{name}"));
    trial.once(&title, Weight::Hundred, |attacker| {
        read_a_little(attacker, connections, &download, 0)
    });
    for range in [
        "bytes=0-",
        "bytes=-1",
        "bytes=0-0,1-1,2-2",
        "bytes=9999999999999-",
    ] {
        let head = download.replacen("\r\n\r\n", &format!("\r\nrange: {range}\r\n\r\n"), 1);
        trial.repeat(
            &format!("a snapshot, Range: {range}"),
            Weight::One,
            |attacker| Tally::from(attacker.send(&head, b"")),
        );
    }
    trial.verdict();
}

/// Reads a little now and then, so that no answer ever ends.
fn read_slowly(attacker: &Attacker, connections: usize, request: &str) -> Tally {
    let mut tally = Tally::default();
    let mut wires: Vec<_> = (0..connections)
        .filter_map(|_| {
            let mut wire = Wire::open_narrow(attacker.address, attacker.port).ok()?;
            wire.send(request.as_bytes()).ok()?;
            Some(wire)
        })
        .collect();
    let until = Instant::now() + hold_time();
    while Instant::now() < until {
        wires.retain_mut(|wire| wire.read_some(10).bytes > 0);
        std::thread::sleep(Duration::from_millis(500));
    }
    for _ in &wires {
        tally.add("held");
    }
    tally
}

#[test]
fn readers_of_a_few_bytes_a_second_are_bounded_together() {
    let mut trial = Trial::new(victim_of_large_documents);
    let connections = short_or_full(40, 100);
    let paths = [
        (
            "pages",
            "/collections/large/documents?limit=1000&include=text",
        ),
        ("exports", "/collections/large/export"),
        ("metrics", "/metrics"),
        ("descriptions", "/openapi.json"),
    ];
    for (name, path) in paths {
        let name = format!("{connections} {name} read 20 bytes a second");
        trial.once(&name, Weight::Hundred, |attacker| {
            read_slowly(attacker, connections, &bare("GET", path))
        });
    }
    trial.verdict();
}
