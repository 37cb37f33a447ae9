//! What the data takes in memory: the count against a process's size, and the limit.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use serde_json::{Value, json};
use siamese_index::{
    Collection, CollectionSettings, DocumentDraft, DocumentWrite, EncoderIdentity, Error, Index,
    IndexOptions, NewPassage, SearchOptions,
};

const DOCUMENTS: usize = 20_000;

fn open(folder: &Path, max_memory_bytes: Option<u64>) -> Result<Index, Error> {
    let encoder = EncoderIdentity {
        id: "e".to_owned(),
        name: "n".to_owned(),
        dimensions: 2,
    };
    let options = IndexOptions {
        cache_bytes: 1 << 20,
        max_memory_bytes,
        min_free_disk_bytes: 0,
        ..IndexOptions::default()
    };
    Index::open(folder, &encoder, &options)
}

fn write(n: usize, metadata: Value) -> DocumentWrite {
    let Value::Object(metadata) = metadata else {
        panic!("metadata is an object");
    };
    DocumentWrite {
        draft: DocumentDraft {
            id: format!("d{n}"),
            title: None,
            text: "text".to_owned(),
            metadata,
        },
        passages: Some(vec![NewPassage {
            start: 0,
            end: 4,
            vector: vec![1.0, n as f32],
        }]),
    }
}

fn usual_metadata(n: usize) -> Value {
    json!({
        "status": (["open", "closed", "waiting"][n % 3]),
        "tags": [format!("tag-{}", n % 1000), format!("tag-{}", n * 7 % 3000)],
        "author": {"name": format!("Author Number {}", n % 5000)},
        "url": format!("https://example.org/documents/{n:09}"),
        "price": n as f64 / 7.0,
        "note": format!("A note of some sixty characters with the number {:012}", n * 31),
    })
}

fn fill(folder: &Path, documents: usize, metadata: impl Fn(usize) -> Value) {
    let index = open(folder, None).unwrap();
    let collection = index.collection("default").unwrap();
    for first in (0..documents).step_by(1000) {
        let batch = first..documents.min(first + 1000);
        let writes: Vec<_> = batch.map(|n| write(n, metadata(n))).collect();
        collection.writer().upsert(&writes).unwrap();
    }
    assert!(index.settle());
}

#[cfg(target_os = "linux")]
fn resident_bytes() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib << 10
}

/// How much the process grows while a folder is opened, and what is counted.
#[cfg(target_os = "linux")]
fn opened(metadata: impl Fn(usize) -> Value) -> (u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), DOCUMENTS, metadata);
    let before = resident_bytes();
    let index = open(folder.path(), None).unwrap();
    let grown = resident_bytes().saturating_sub(before);
    let counted = index.memory().used_bytes;
    // What was opened first would leave room that the second one takes.
    std::mem::forget(index);
    (grown, counted)
}

/// Run alone: it measures the process.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "it measures the whole process, so it runs by itself: `cargo test -p siamese-index --test memory -- --ignored`"]
fn what_is_counted_for_metadata_is_about_what_it_takes() {
    let (_, _) = opened(usual_metadata);
    let (bare, bare_counted) = opened(|_| json!({}));
    let (grown, counted) = opened(usual_metadata);
    let json_bytes: usize = (0..DOCUMENTS)
        .map(|n| usual_metadata(n).to_string().len())
        .sum();
    let (taken, counted) = (grown.saturating_sub(bare), counted - bare_counted);
    let per_json = taken as f64 / json_bytes as f64;
    eprintln!(
        "{json_bytes} bytes of JSON take {taken} bytes, {per_json:.2} times; counted {counted}"
    );
    let ratio = counted as f64 / taken as f64;
    assert!(
        (0.6..2.0).contains(&ratio),
        "counted {counted}, taken {taken}"
    );
}

fn until_full(collection: &Collection, prefix: usize) -> (usize, Error) {
    for n in 0.. {
        let outcome = collection
            .writer()
            .upsert(&[write(prefix + n, usual_metadata(prefix + n))]);
        if let Err(error) = outcome {
            return (n, error);
        }
    }
    unreachable!("the memory is never full");
}

#[test]
fn writes_are_refused_when_memory_is_full_and_go_on_when_documents_have_been_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let max = 400_000;
    let index = open(folder.path(), Some(max)).unwrap();
    let (other, _) = index
        .put_collection("other", &CollectionSettings::default())
        .unwrap();
    let collection = index.collection("default").unwrap();
    let (stored, error) = until_full(&collection, 0);
    assert!(matches!(error, Error::MemoryFull { .. }), "{error}");
    assert!(error.to_string().contains("storage.max_memory_bytes"));
    let memory = index.memory();
    assert!(memory.is_full && memory.used_bytes <= max, "{memory:?}");
    assert!(memory.used_bytes > max * 9 / 10, "{memory:?}");
    // The limit is that of all collections together, and holds for changes of metadata, too.
    let refused = other.writer().upsert(&[write(0, usual_metadata(0))]);
    assert!(matches!(refused, Err(Error::MemoryFull { .. })));
    let Value::Object(patch) = usual_metadata(1_000_000) else {
        panic!("metadata is an object");
    };
    let more = json!({"more": (0..500).collect::<Vec<_>>()});
    let refused = collection
        .writer()
        .patch_metadata("d0", more.as_object().unwrap(), usize::MAX);
    assert!(matches!(refused, Err(Error::MemoryFull { .. })));
    collection
        .writer()
        .patch_metadata("d0", &patch, usize::MAX)
        .unwrap();
    // Reads go on.
    let found = collection
        .reader()
        .search(&[1.0, 0.0], &SearchOptions::default());
    assert_eq!(found.unwrap().hits.len(), 10);
    let ids: Vec<String> = (0..stored / 2).map(|n| format!("d{n}")).collect();
    assert!(
        collection
            .writer()
            .delete(&ids)
            .unwrap()
            .iter()
            .all(|deleted| *deleted)
    );
    assert!(!index.memory().is_full);
    let (again, _) = until_full(&collection, stored);
    assert!(again > stored / 4, "{again} after {stored}");
    // Whoever has a handle may still read what was there.
    drop(collection);
    index.delete_collection("default").unwrap();
    assert!(index.memory().used_bytes < max / 4);
}

#[test]
fn a_folder_counts_the_same_when_it_is_opened_again_and_is_refused_when_it_needs_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let used = {
        let index = open(folder.path(), None).unwrap();
        let collection = index.collection("default").unwrap();
        for n in 0..500 {
            collection
                .writer()
                .upsert(&[write(n, usual_metadata(n))])
                .unwrap();
        }
        index.memory().used_bytes
    };
    let counted = |max| open(folder.path(), max).map(|index| index.memory());
    // Words that several pieces of the head have are kept once in fewer pieces, and nothing else differs.
    let again = counted(None).unwrap().used_bytes;
    assert!(again <= used && again > used - used / 100, "{used} {again}");
    let memory = counted(Some(used)).unwrap();
    assert!(!memory.is_full, "{memory:?}");
    // A little over it: everything can be read, and nothing can be added.
    let memory = counted(Some(used - used / 10)).unwrap();
    assert!(memory.is_full, "{memory:?}");
    let refused = counted(Some(used / 2)).unwrap_err();
    assert!(matches!(refused, Error::DataOverMemory { .. }), "{refused}");
    assert!(refused.to_string().contains("storage.max_memory_bytes"));
}
