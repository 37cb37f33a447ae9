//! Bodies that are small to send and dear to read.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::attacker::{Attacker, Tally};
use crate::figures::Weight;
use crate::form::short_or_full;
use crate::trial::Trial;
use crate::victim::Victim;
use crate::wire::{Reply, head};

/// Just below `limits.max_body_bytes`.
const LARGEST: usize = 31 << 20;

/// `head`, then `unit` again and again with commas between, then `tail`.
fn list(head: &str, unit: &str, tail: &str, bytes: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(bytes + 64);
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(unit.as_bytes());
    while body.len() + unit.len() + tail.len() < bytes {
        body.push(b',');
        body.extend_from_slice(unit.as_bytes());
    }
    body.extend_from_slice(tail.as_bytes());
    body
}

/// An object of as many keys as fit, in `head` and `tail`.
fn many_keys(head: &str, tail: &str, bytes: usize) -> Vec<u8> {
    let mut body = head.as_bytes().to_vec();
    let mut n = 0_u32;
    while body.len() + tail.len() + 16 < bytes {
        let comma = if n == 0 { "" } else { "," };
        body.extend_from_slice(format!("{comma}\"k{n:x}\":0").as_bytes());
        n += 1;
    }
    body.extend_from_slice(tail.as_bytes());
    body
}

/// One string as long as fits.
fn long_string(head: &str, tail: &str, bytes: usize) -> Vec<u8> {
    let filling = "x".repeat(bytes - head.len() - tail.len());
    [head, &filling, tail].concat().into_bytes()
}

/// A body that must be refused, and whom it is sent to.
type Refused = (&'static str, &'static str, fn() -> Vec<u8>);

const LISTS: &[Refused] = &[
    ("{} in searches of a batch", "/search/batch", || {
        list("{\"searches\":[", "{}", "]}", LARGEST)
    }),
    ("{} in documents", "/documents", || {
        list("{\"documents\":[", "{}", "]}", LARGEST)
    }),
    ("whole documents, many times too many", "/documents", || {
        list(
            "{\"documents\":[",
            "{\"id\":\"a\",\"text\":\"x\"}",
            "]}",
            LARGEST,
        )
    }),
    ("[] in pairs", "/similarity", || {
        list("{\"pairs\":[", "[]", "]}", LARGEST)
    }),
    ("pairs of texts", "/similarity", || {
        list("{\"pairs\":[", "[\"\",\"\"]", "]}", LARGEST)
    }),
    ("one pair of millions", "/similarity", || {
        list("{\"pairs\":[[", "\"\"", "]]}", LARGEST)
    }),
    ("texts on the left", "/similarity", || {
        list("{\"left\":[", "\"\"", "]}", LARGEST)
    }),
    ("sentences in inputs", "/similarity", || {
        list(
            "{\"inputs\":{\"source_sentence\":\"a\",\"sentences\":[",
            "\"\"",
            "]}}",
            LARGEST,
        )
    }),
    ("{} in arguments of a tool", "/mcp", || {
        let head = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"documents":["#;
        list(head, "{}", "]}}}", LARGEST)
    }),
    ("ids to delete", "/documents/delete", || {
        list("{\"ids\":[", "\"\"", "]}", LARGEST)
    }),
    ("numbers of a vector", "/search", || {
        list("{\"vector\":[", "0", "]}", LARGEST)
    }),
    ("positive examples", "/search", || {
        list("{\"positive\":[", "\"\"", "]}", LARGEST)
    }),
    ("fields of facets", "/search", || {
        list("{\"query\":\"a\",\"facets\":[", "\"\"", "]}", LARGEST)
    }),
    ("parts to include", "/search", || {
        list("{\"query\":\"a\",\"include\":[", "\"text\"", "]}", LARGEST)
    }),
    ("values of $in", "/search", || {
        list(
            "{\"query\":\"a\",\"filter\":{\"a\":{\"$in\":[",
            "0",
            "]}}}",
            LARGEST,
        )
    }),
    ("{} in $or", "/search", || {
        list(
            "{\"query\":\"a\",\"filter\":{\"$or\":[",
            "{}",
            "]}}",
            LARGEST,
        )
    }),
    ("fields of a filter", "/search", || {
        many_keys("{\"query\":\"a\",\"filter\":{", "}}", LARGEST)
    }),
    ("texts to embed", "/embed", || {
        list("{\"inputs\":[", "\"\"", "]}", LARGEST)
    }),
    ("texts to embed, as OpenAI", "/v1/embeddings", || {
        list("{\"model\":\"m\",\"input\":[", "\"\"", "]}", LARGEST)
    }),
    ("token lists to embed", "/v1/embeddings", || {
        list("{\"model\":\"m\",\"input\":[", "[0]", "]}", LARGEST)
    }),
    ("texts to rank", "/rerank", || {
        list("{\"query\":\"a\",\"texts\":[", "\"\"", "]}", LARGEST)
    }),
];

const OBJECTS: &[Refused] = &[
    ("metadata of millions of keys", "/documents", || {
        many_keys(
            "{\"documents\":[{\"id\":\"a\",\"text\":\"x\",\"metadata\":{",
            "}}]}",
            LARGEST,
        )
    }),
    ("metadata of a list of millions", "/documents", || {
        list(
            "{\"documents\":[{\"id\":\"a\",\"text\":\"x\",\"metadata\":{\"a\":[",
            "[]",
            "]}}]}",
            LARGEST,
        )
    }),
    ("unknown fields by the million", "/search", || {
        many_keys("{\"query\":\"a\",", "}", LARGEST)
    }),
    ("the same field again and again", "/search", || {
        list("{", "\"query\":\"a\"", "}", LARGEST)
    }),
    ("a list instead of an object", "/search", || {
        list("[", "{}", "]", LARGEST)
    }),
    (
        "a collection's settings of millions of keys",
        "/documents",
        || many_keys("{\"documents\":{", "}}", LARGEST),
    ),
    ("brackets as deep as the body", "/documents", || {
        vec![b'['; LARGEST]
    }),
    ("objects as deep as the body", "/documents", || {
        "{\"a\":".repeat(LARGEST / 5).into_bytes()
    }),
    ("nested metadata, side by side", "/documents", || {
        let nest = ["[".repeat(100), "]".repeat(100)].concat();
        list(
            "{\"documents\":[{\"id\":\"a\",\"text\":\"x\",\"metadata\":{\"a\":[",
            &nest,
            "]}}]}",
            LARGEST,
        )
    }),
    ("a number of millions of digits", "/search", || {
        let digits = "1".repeat(LARGEST - 64);
        format!("{{\"query\":\"a\",\"top_k\":{digits}}}").into_bytes()
    }),
    ("blanks", "/search", || vec![b' '; LARGEST]),
];

const STRINGS: &[Refused] = &[
    ("an unknown field of a long name", "/search", || {
        long_string("{\"", "\":1}", LARGEST)
    }),
    ("a long value of a closed list", "/search", || {
        long_string("{\"query\":\"a\",\"mode\":\"", "\"}", LARGEST)
    }),
    ("a long query", "/search", || {
        long_string("{\"query\":\"", "\"}", LARGEST)
    }),
    ("a long id", "/documents", || {
        long_string(
            "{\"documents\":[{\"text\":\"a\",\"id\":\"",
            "\"}]}",
            LARGEST,
        )
    }),
    ("a long operator", "/search", || {
        long_string(
            "{\"query\":\"a\",\"filter\":{\"a\":{\"$",
            "\":1}}}",
            LARGEST,
        )
    }),
    ("a long field of a facet", "/search", || {
        long_string("{\"query\":\"a\",\"facets\":[\"", "\"]}", LARGEST)
    }),
    ("a long cursor", "/search", || {
        long_string("{\"query\":\"a\",\"cursor\":\"", "\"}", LARGEST)
    }),
    ("a long name of a prompt", "/embed", || {
        long_string("{\"inputs\":\"a\",\"prompt_name\":\"", "\"}", LARGEST)
    }),
    ("escapes, six bytes for each", "/search", || {
        let escapes = "\\u0001".repeat(LARGEST / 6 - 16);
        format!("{{\"query\":\"{escapes}\"}}").into_bytes()
    }),
];

fn are_refused(kinds: &[Refused]) {
    let mut trial = Trial::new(Victim::start);
    for (name, path, body) in kinds {
        let body = body();
        let longest = AtomicU64::new(0);
        let answered = trial.repeat(&format!("31 MiB: {name}"), Weight::One, |attacker| {
            let reply = attacker.post(path, &body);
            longest.fetch_max(reply.bytes, Ordering::Relaxed);
            Tally::from(reply)
        });
        let longest = longest.into_inner();
        trial.expect(longest < 16 * 1024, "the answer repeats what was sent");
        trial.expect(are_client_errors(&answered), "it is not refused with 4xx");
    }
    trial.verdict();
}

fn are_client_errors(answered: &Tally) -> bool {
    answered.all(|what| what.starts_with('4'))
}

#[test]
fn a_list_that_is_longer_than_its_limit_is_not_read_to_its_end() {
    are_refused(LISTS);
}

#[test]
fn an_object_of_a_million_parts_is_not_built_to_be_refused() {
    are_refused(OBJECTS);
}

#[test]
fn a_long_string_is_neither_copied_nor_repeated_in_the_error() {
    are_refused(STRINGS);
}

#[test]
fn several_large_bodies_at_once_delay_nobody_else() {
    let mut trial = Trial::new(Victim::start);
    let small = list("{\"searches\":[", "{}", "]}", 4 << 20);
    let large = list("{\"searches\":[", "{}", "]}", LARGEST);
    let post = |body: &[u8], attacker: &Attacker| Tally::from(attacker.post("/search/batch", body));
    trial.repeat("3 bodies of 4 MiB at once", Weight::Hundred, |attacker| {
        attacker.together(3, |attacker, _| post(&small, attacker))
    });
    trial.repeat("3 bodies of 31 MiB at once", Weight::Hundred, |attacker| {
        attacker.together(3, |attacker, _| post(&large, attacker))
    });
    let connections = short_or_full(24, 100);
    let name = format!("{connections} bodies of 31 MiB at once");
    trial.repeat(&name, Weight::Hundred, |attacker| {
        attacker.together(connections, |attacker, _| post(&large, attacker))
    });
    trial.verdict();
}

/// Pours out a body of unknown length, as long as somebody takes it.
fn pour_chunks(attacker: &Attacker, path: &str, content_type: &str, mebibytes: usize) -> Tally {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let Ok(mut wire) = attacker.connect() else {
        return Tally::from(Reply::default());
    };
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    let is_taken = wire.send(head.as_bytes()).is_ok()
        && (0..mebibytes).all(|_| wire.send(&chunk).is_ok())
        && wire.send(b"0\r\n\r\n").is_ok();
    let reply = wire.reply();
    let mut tally = Tally::from(reply);
    tally.add(if is_taken {
        "taken"
    } else {
        "not taken to the end"
    });
    tally
}

#[test]
fn a_body_of_no_announced_length_is_cut_off_at_its_limit() {
    let mut trial = Trial::new(Victim::start);
    let kinds = [
        ("POST /search", "/search", "application/json"),
        ("POST /documents", "/documents", "application/json"),
        ("one line of a stream", "/documents", "application/x-ndjson"),
        ("POST /embed", "/embed", "application/json"),
        ("POST /snapshots", "/snapshots", "application/json"),
    ];
    for (name, path, content_type) in kinds {
        let name = format!("200 MiB in chunks, {name}");
        trial.repeat(&name, Weight::One, |attacker| {
            pour_chunks(attacker, path, content_type, 200)
        });
    }
    let name = "20 times 200 MiB in chunks at once";
    trial.repeat(name, Weight::Hundred, |attacker| {
        attacker.together(20, |attacker, _| {
            pour_chunks(attacker, "/search", "application/json", 200)
        })
    });
    trial.verdict();
}

#[test]
fn every_route_with_a_body_has_its_limit() {
    let mut trial = Trial::new(Victim::start);
    let keys = many_keys("{\"metadata\":{", "}}", LARGEST);
    let settings = many_keys("{", "}", LARGEST);
    let kinds = [
        ("PATCH", "/documents/a", &keys),
        ("PUT", "/collections/a", &settings),
        ("POST", "/snapshots", &settings),
        ("DELETE", "/documents/a", &settings),
        ("GET", "/documents", &settings),
    ];
    for (method, path, body) in kinds {
        let head = head(method, path, "application/json", body.len());
        trial.repeat(
            &format!("31 MiB: {method} {path}"),
            Weight::One,
            |attacker| Tally::from(attacker.send(&head, body)),
        );
    }
    trial.verdict();
}

#[test]
fn bodies_that_are_announced_and_not_sent_take_no_memory() {
    let mut trial = Trial::new(Victim::start);
    let kinds: &[(&str, &str)] = &[
        ("a length of 31 MiB, and 1 byte", "content-length: 32505856"),
        (
            "a length of 9 EB, and 1 byte",
            "content-length: 9000000000000000000",
        ),
        (
            "Expect: 100-continue, and 1 byte",
            "expect: 100-continue\r\ncontent-length: 32505856",
        ),
        (
            "chunks announced as 31 MiB, and 1 byte",
            "transfer-encoding: chunked",
        ),
    ];
    for (name, fields) in kinds {
        let head = format!(
            "POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{fields}\r\n\r\n"
        );
        let body: &[u8] = if fields.contains("chunked") {
            b"1f00000\r\n{"
        } else {
            b"{"
        };
        trial.once(&format!("100 times {name}"), Weight::Hundred, |attacker| {
            let mut wires = Vec::new();
            for _ in 0..100 {
                let Ok(mut wire) = attacker.connect() else {
                    continue;
                };
                drop(wire.request(&head, body));
                wires.push(wire);
            }
            std::thread::sleep(crate::form::hold_time());
            let mut tally = Tally::default();
            wires.iter().for_each(|_| tally.add("held"));
            tally
        });
    }
    trial.verdict();
}

#[test]
fn compressed_bodies_are_not_unpacked_without_bound() {
    let mut trial = Trial::new(Victim::start);
    // Blocks of zeros that a decoder would blow up a thousand times.
    let bomb = vec![0x1f_u8; 1 << 20];
    for coding in ["gzip", "br", "deflate", "zstd"] {
        let head = head("POST", "/search", "application/json", bomb.len());
        let coded = format!("content-encoding: {coding}\r\n\r\n");
        let head = head.replacen("\r\n\r\n", &format!("\r\n{coded}"), 1);
        let answered = trial.repeat(&format!("a body in {coding}"), Weight::One, |attacker| {
            Tally::from(attacker.send(&head, &bomb))
        });
        trial.expect(are_client_errors(&answered), "it is not refused with 4xx");
    }
    trial.verdict();
}

#[test]
fn a_body_in_chunks_of_one_byte_is_read_like_any_other() {
    let mut trial = Trial::new(Victim::start);
    let body = "1\r\n \r\n".repeat(short_or_full(200_000, 4_000_000));
    let head = "POST /search HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let answered = trial.repeat("millions of chunks of 1 byte", Weight::One, |attacker| {
        Tally::from(attacker.send(head, format!("{body}0\r\n\r\n").as_bytes()))
    });
    trial.expect(are_client_errors(&answered), "it is not refused with 4xx");
    let extended = format!("1;{}\r\n", "x".repeat(8 << 20));
    trial.repeat("a chunk extension of 8 MiB", Weight::One, |attacker| {
        Tally::from(attacker.send(head, extended.as_bytes()))
    });
    let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(1 << 20));
    trial.repeat("a million trailers", Weight::One, |attacker| {
        Tally::from(attacker.send(head, trailers.as_bytes()))
    });
    trial.verdict();
}
