//! Segments of vectors: a valid one with some numbers changed and, as a checksum stops all that, mostly with the
//! checksums of what it then holds. The first byte says which.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use roaring::RoaringBitmap;
use siamese_fuzz::{Edits, MemoryFile};
use siamese_index::{GraphSettings, SingleSegment, VectorPrecision, VectorQuery};

/// Where the header has its numbers (`crates/index/src/vectors/segment/header.rs`).
const DIMENSIONS: std::ops::Range<usize> = 13..17;
const BODY_CHECKSUM: std::ops::Range<usize> = 29..33;
const HEADER_CHECKSUM: std::ops::Range<usize> = 97..101;
const HEADER_BYTES: usize = 192;
/// More values than a query is made of.
const MAX_DIMENSIONS: usize = 4096;

static SEGMENTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let [full, compact] = VectorPrecision::ALL;
    let segments = [
        (1, 1, 4, full),
        (3, 60, 4, full),
        (70, 200, 5, full),
        (3, 60, 4, compact),
        (70, 200, 5, compact),
    ];
    let segments = segments.map(|(dimensions, vectors, m, precision)| {
        let settings = GraphSettings {
            m,
            precision,
            ..GraphSettings::default()
        };
        segment(dimensions, vectors, settings)
    });
    for segment in &segments {
        let mut sealed = segment.clone();
        seal(&mut sealed);
        assert!(sealed == *segment, "the header has its numbers elsewhere");
    }
    segments.into()
});

fn segment(dimensions: usize, vectors: usize, settings: GraphSettings) -> Vec<u8> {
    let value = |vector, place| ((vector * 31 + place * 17) % 29) as f32 - 14.5;
    let vectors: Vec<Vec<f32>> = (0..vectors)
        .map(|vector| (0..dimensions).map(|place| value(vector, place)).collect())
        .collect();
    let file = MemoryFile::with("a.segment", b"");
    SingleSegment::build(&file.path, &vectors, settings, 1).expect("a segment");
    fs_err::read(&file.path).expect("the segment's file")
}

fn seal(bytes: &mut [u8]) {
    let (Some(body), true) = (bytes.get(HEADER_BYTES..), bytes.len() >= HEADER_BYTES) else {
        return;
    };
    let body = crc32fast::hash(body);
    bytes[BODY_CHECKSUM].copy_from_slice(&body.to_le_bytes());
    let header = crc32fast::hash(&bytes[..HEADER_CHECKSUM.start]);
    bytes[HEADER_CHECKSUM].copy_from_slice(&header.to_le_bytes());
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, edits)) = input.split_first() else {
        return;
    };
    let mut bytes = SEGMENTS[usize::from(*kind) % SEGMENTS.len()].clone();
    Edits::new(edits).apply(&mut bytes);
    if *kind < 240 {
        seal(&mut bytes);
    }
    let file = MemoryFile::with("a.segment", &bytes);
    let Ok(segment) = SingleSegment::open(&file.path) else {
        return;
    };
    // A collection opens only what has as many as it has itself.
    let dimensions = u32::from_le_bytes(bytes[DIMENSIONS].try_into().expect("four bytes"));
    if !(1..=MAX_DIMENSIONS).contains(&(dimensions as usize)) {
        return;
    }
    let vector = vec![1.0; dimensions as usize];
    let some: RoaringBitmap = (0..40).step_by(3).collect();
    for (exact, widens, allowed) in [
        (false, false, None),
        (false, true, Some(&some)),
        (true, false, None),
    ] {
        let found = segment.search(&VectorQuery {
            vector: &vector,
            limit: 5,
            ef: 8,
            widens,
            exact,
            allowed,
        });
        assert!(found.len() <= 5, "more than were asked for");
    }
});
