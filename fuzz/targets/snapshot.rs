//! Snapshots. The first byte says what is changed of a valid one: bytes of the file as they stand, bytes of it with
//! the checksums of what it then holds, or keys and values of entries, around which the file is made anew. What
//! passes all checks is restored, opened and searched.

#![no_main]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use siamese_fuzz::{Data, Edits, MemoryFile, embedding, in_memory};
use siamese_index::{
    Cancel, Collection, Error, FacetRequest, FeedbackLimits, FieldPath, Index, Judgement, Progress,
    SearchOptions, WordQuery, restore_snapshot, verify_snapshot,
};

/// As docs/storage-format.md has it: what stands before the entries, and after the manifest.
const HEADER_BYTES: usize = 20;
const DIGEST_BYTES: usize = 32;
const TRAILER_BYTES: usize = 8 + 4 + DIGEST_BYTES;

/// Kinds of keys with what their sections are called.
const SECTIONS: [(u8, &str); 13] = [
    (0x01, "meta"),
    (0x02, "collections"),
    (0x03, "counters"),
    (0x04, "dropped"),
    (0x06, "generations"),
    (0x07, "feedback"),
    (0x08, "aliases"),
    (0x10, "documents"),
    (0x11, "bodies"),
    (0x12, "passages"),
    (0x13, "numbers"),
    (0x14, "judgements"),
    (0x20, "vectors"),
];

type Entry = (Vec<u8>, Vec<u8>);

struct Snapshot {
    bytes: Vec<u8>,
    manifest: Value,
    entries: Vec<Entry>,
}

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    Data::create(|index| bytes = snapshot_of(index));
    let manifest = manifest_of(&bytes).expect("a snapshot has a manifest").1;
    let entries = entries_of(&bytes, &manifest);
    let snapshot = Snapshot {
        bytes,
        manifest,
        entries,
    };
    let mut same = snapshot.bytes.clone();
    seal(&mut same);
    let again = written(&snapshot.manifest, &snapshot.entries);
    for bytes in [same, again] {
        let file = MemoryFile::with("a.snapshot", &bytes);
        verify_snapshot(&file.path).expect("nothing has been changed");
        open_and_use(&file.path).expect("nothing has been changed");
    }
    snapshot
});

fn snapshot_of(index: &Index) -> Vec<u8> {
    index.put_alias("lamps", "notes").expect("an alias");
    let judgements = ["d1", "d2"].map(|document| Judgement {
        query: "lamp".to_owned(),
        document: document.to_owned(),
        is_useful: true,
    });
    let limits = FeedbackLimits {
        max_judgements: 10,
        max_bytes: 1 << 20,
    };
    index
        .put_feedback("notes", &judgements, &limits)
        .expect("feedback");
    let info = index
        .create_snapshot(&Cancel::default(), &Progress::default())
        .expect("a snapshot");
    let file = index.folder().join("snapshots").join(&info.name);
    fs_err::read(file).expect("the snapshot's file")
}

/// Where the manifest stands, and what it says.
fn manifest_of(bytes: &[u8]) -> Option<(std::ops::Range<usize>, Value)> {
    let end = bytes.len().checked_sub(TRAILER_BYTES)?;
    let length = u64::from_le_bytes(bytes[end..end + 8].try_into().ok()?);
    let start = end.checked_sub(usize::try_from(length).ok()?)?;
    let manifest = serde_json::from_slice(&bytes[start..end]).ok()?;
    (start >= HEADER_BYTES).then_some((start..end, manifest))
}

fn entries_of(bytes: &[u8], manifest: &Value) -> Vec<Entry> {
    let sections = manifest["sections"].as_array().expect("sections").iter();
    let count: u64 = sections
        .filter_map(|section| section["entries"].as_u64())
        .sum();
    let mut rest = &bytes[HEADER_BYTES..];
    let mut take = |length: usize| {
        let (head, after) = rest.split_at(length);
        rest = after;
        head.to_vec()
    };
    (0..count)
        .map(|_| {
            let lengths = [(); 2].map(|()| take(4).try_into().expect("four bytes"));
            let [key, value] = lengths.map(|length| u32::from_le_bytes(length) as usize);
            (take(key), take(value))
        })
        .collect()
}

/// Puts in the checksums of what stands there, as far as there is a manifest.
fn seal(bytes: &mut Vec<u8>) {
    let Some((place, mut manifest)) = manifest_of(bytes) else {
        return;
    };
    let mut start = HEADER_BYTES;
    for section in manifest["sections"].as_array_mut().into_iter().flatten() {
        let length = section["bytes"].as_u64().unwrap_or(0) as usize;
        let end = start.saturating_add(length).min(place.start);
        if let Some(section) = section.as_object_mut() {
            section.insert(
                "crc32".to_owned(),
                crc32fast::hash(&bytes[start..end]).into(),
            );
        }
        start = end;
    }
    bytes.truncate(place.start);
    end(bytes, &manifest);
}

/// Appends manifest and trailer.
fn end(bytes: &mut Vec<u8>, manifest: &Value) {
    let json = manifest.to_string().into_bytes();
    bytes.extend_from_slice(&json);
    bytes.extend_from_slice(&(json.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&json).to_le_bytes());
    let digest = Sha256::digest(bytes.as_slice());
    bytes.extend_from_slice(digest.as_slice());
}

/// A snapshot with these entries, and a manifest that counts them.
fn written(manifest: &Value, entries: &[Entry]) -> Vec<u8> {
    let mut bytes = SNAPSHOT_HEADER.to_vec();
    let mut manifest = manifest.clone();
    let mut sections: Vec<Value> = Vec::new();
    let name_of = |key: &[u8]| {
        let kind = key.first().copied().unwrap_or_default();
        let known = SECTIONS.iter().find(|(known, _)| *known == kind);
        known.map_or("unknown", |(_, name)| *name)
    };
    for entries in entries.chunk_by(|a, b| name_of(&a.0) == name_of(&b.0)) {
        let start = bytes.len();
        for (key, value) in entries {
            for length in [key.len(), value.len()] {
                bytes.extend_from_slice(&(length as u32).to_le_bytes());
            }
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value);
        }
        let content = &bytes[start..];
        sections.push(json!({
            "name": name_of(&entries[0].0), "entries": entries.len(),
            "bytes": content.len(), "crc32": crc32fast::hash(content),
        }));
    }
    manifest["sections"] = sections.into();
    count(&mut manifest, entries);
    end(&mut bytes, &manifest);
    bytes
}

const SNAPSHOT_HEADER: [u8; HEADER_BYTES] = *b"SIAMESE SNAPSHOT\x01\0\0\0";

/// Puts in how many documents and passages each collection has.
fn count(manifest: &mut Value, entries: &[Entry]) {
    let number = |bytes: &[u8]| -> Option<[u8; 4]> { bytes.get(1..5)?.try_into().ok() };
    let mut counts: BTreeMap<(u8, [u8; 4]), u64> = BTreeMap::new();
    for (key, _) in entries {
        if let (Some(kind @ (0x10 | 0x12)), Some(of)) = (key.first().copied(), number(key)) {
            *counts.entry((kind, of)).or_default() += 1;
        }
    }
    for collection in manifest["collections"].as_array_mut().into_iter().flatten() {
        let key = [
            &[0x02],
            collection["name"].as_str().unwrap_or_default().as_bytes(),
        ]
        .concat();
        let Some((_, record)) = entries.iter().find(|(other, _)| *other == key) else {
            continue;
        };
        // Numbers are big-endian in keys, and little-endian in values.
        let mut of = number(record).unwrap_or_default();
        of.reverse();
        for (kind, name) in [(0x10, "documents"), (0x12, "passages")] {
            collection[name] = counts.get(&(kind, of)).copied().unwrap_or(0).into();
        }
    }
}

/// Restores a snapshot, and does with it what a service would.
fn open_and_use(file: &Path) -> Result<(), Error> {
    let folder = in_memory();
    let data = folder.path().join("data");
    restore_snapshot(file, &data, &Data::options())?;
    let index = Data::open(&data)?;
    for collection in index.collections() {
        // What was forged may not be readable; that is said, and nothing else happens.
        drop(use_all(&index, &collection));
    }
    drop(index.aliases());
    Ok(())
}

fn use_all(index: &Index, collection: &Collection) -> Result<(), Error> {
    let (reader, name) = (collection.reader(), collection.name());
    drop((collection.stats(), index.generations(name)));
    let options = SearchOptions {
        facets: FacetRequest {
            paths: vec![FieldPath::parse("n").expect("a path")],
            max_values: 3,
        },
        ..SearchOptions::default()
    };
    drop(reader.search(&embedding(2), &options));
    let words = WordQuery::new("lamp table", collection.settings().words)?;
    drop(reader.search(&words, &options));
    drop(reader.feedback(None, None, 10));
    for document in reader.list(None, 4)? {
        drop(reader.passages(&document.id, true));
        drop(reader.mean_vector(&document.id));
    }
    drop(
        collection
            .writer()
            .delete(&["d1".to_owned(), "d24".to_owned()]),
    );
    index.settle();
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, edits)) = input.split_first() else {
        return;
    };
    let edits = Edits::new(edits);
    let bytes = if kind % 4 < 2 {
        let mut bytes = SNAPSHOT.bytes.clone();
        edits.apply(&mut bytes);
        if kind % 4 == 1 {
            seal(&mut bytes);
        }
        bytes
    } else {
        written(&SNAPSHOT.manifest, &changed(edits))
    };
    let file = MemoryFile::with("a.snapshot", &bytes);
    if verify_snapshot(&file.path).is_ok() {
        drop(open_and_use(&file.path));
    }
});

/// The entries with some changed: each change is of one entry, which its kind also takes away or doubles.
fn changed(edits: Edits<'_>) -> Vec<Entry> {
    let mut entries = SNAPSHOT.entries.clone();
    for mut edit in edits.iter() {
        let count = entries.len();
        if count == 0 {
            break;
        }
        let place = edit.place % count;
        // What is left says where in the entry.
        edit.place /= count;
        match edit.kind {
            0..160 => edit.apply(&mut entries[place].1),
            160..224 => edit.apply(&mut entries[place].0),
            224..240 => drop(entries.remove(place)),
            _ => {
                let mut another = entries[place].clone();
                edit.apply(&mut another.0);
                entries.insert(place + 1, another);
            }
        }
    }
    entries
}
