//! The segments of a collection, of words and of vectors, and the lists of them: files of a valid folder with some
//! numbers changed. Lists then get the checksum of what they hold; the files of words do not, because tantivy is
//! never to see one that is not as it was written, and vectors have a target of their own. The first byte says which
//! file.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use siamese_fuzz::{Data, Edits, embedding, folder, in_memory, write_all};
use siamese_index::fuzzing::{search_vectors, search_words};

const QUERY: &str = "lamp table";

struct Segments {
    /// The folder of all collections, below the data folder.
    all: &'static str,
    collection: u32,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Segments {
    fn of(data: &Data, all: &'static str) -> Self {
        let files = folder(&data.folder.path().join(all));
        let first = files.first().expect("segments have been made");
        let collection = first.0.iter().next().and_then(|name| name.to_str());
        let collection = collection.and_then(|name| name.parse().ok());
        Self {
            all,
            collection: collection.expect("a folder is called by a collection's number"),
            files,
        }
    }

    fn search(&self, all: &std::path::Path) -> Option<Vec<u32>> {
        match self.all {
            "lexical" => search_words(all, self.collection, QUERY).ok().flatten(),
            _ => search_vectors(all, self.collection, &embedding(1)),
        }
    }
}

static SEGMENTS: LazyLock<[Segments; 2]> = LazyLock::new(|| {
    let data = Data::create(|_| {});
    let segments = ["lexical", "segments"].map(|all| Segments::of(&data, all));
    for segments in &segments {
        let found = segments.search(&data.folder.path().join(segments.all));
        assert!(
            found.is_some_and(|found| !found.is_empty()),
            "{}",
            segments.all
        );
    }
    segments
});

/// The end of a list is the checksum of what stands before it.
fn seal(bytes: &mut [u8]) {
    if let Some((content, checksum)) = bytes.split_last_chunk_mut::<4>() {
        *checksum = crc32fast::hash(content).to_le_bytes();
    }
}

fuzz_target!(|input: &[u8]| {
    let [kind, place, edits @ ..] = input else {
        return;
    };
    let segments = &SEGMENTS[usize::from(kind % 2)];
    let mut files = segments.files.clone();
    let count = files.len();
    let (name, bytes) = &mut files[usize::from(*place) % count];
    Edits::new(edits).apply(bytes);
    if name.ends_with("manifest") {
        seal(bytes);
    }
    let folder = in_memory();
    write_all(folder.path(), &files);
    segments.search(folder.path());
});
