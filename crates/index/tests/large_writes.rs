//! Requests of several megabytes, one after the other and several at once, none of which may wait
//! for ever.
//!
//! `SIAMESE_LARGE_WRITES=20000` is the long form.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use siamese_index::{Collection, DocumentDraft, DocumentWrite, Index, IndexOptions, NewPassage};
use support::{Dice, encoder, setting};

const CLIENTS: usize = 3;
const DOCUMENTS: usize = 100;
const METADATA_BYTES: usize = 55_000;
/// No write of this size takes longer unless it hangs.
const STALL: Duration = Duration::from_secs(60);

fn document(client: usize, number: usize, version: usize) -> DocumentWrite {
    let mut dice = Dice((client * 1000 + number) as u64 ^ ((version as u64) << 32));
    let filler: String = (0..METADATA_BYTES / 16)
        .map(|_| format!("{:016x}", dice.next()))
        .collect();
    let metadata = json!({ "version": version, "filler": filler });
    let text = "always the same".to_owned();
    DocumentWrite {
        passages: Some(vec![NewPassage {
            start: 0,
            end: text.len(),
            vector: vec![1.0, number as f32],
        }]),
        draft: DocumentDraft {
            id: format!("{client}-{number}"),
            title: None,
            text,
            metadata: serde_json::from_value(metadata).unwrap(),
        },
    }
}

fn write(collection: &Collection, client: usize, version: usize) {
    let documents: Vec<_> = (0..DOCUMENTS)
        .map(|number| document(client, number, version))
        .collect();
    collection.writer().upsert(&documents).unwrap();
}

#[test]
fn large_writes_from_several_clients_never_wait_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = encoder(2);
    let index = Index::open(folder.path(), &encoder, &IndexOptions::default()).unwrap();
    let collection = index.collection("default").unwrap();
    let writes = setting("SIAMESE_LARGE_WRITES", 30);
    let begun = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (collection, begun, done) = (&collection, &begun, &done);
            scope.spawn(move || {
                loop {
                    let version = begun.fetch_add(1, Ordering::Relaxed);
                    if version >= writes {
                        break;
                    }
                    write(collection, client, version);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let (mut last, mut since) = (0, Instant::now());
        while last < writes {
            std::thread::sleep(Duration::from_millis(20));
            let now = done.load(Ordering::Relaxed);
            if now > last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > STALL {
                // The writers will not come back, so neither would a panic of this thread.
                eprintln!("after {last} writes none was answered for {STALL:?}");
                std::process::abort();
            }
        }
    });
    drop((collection, index));
    let reopened = Index::open(folder.path(), &encoder, &IndexOptions::default()).unwrap();
    assert!(reopened.collection("default").unwrap().stats().documents >= DOCUMENTS as u64);
}
