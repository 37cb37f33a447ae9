//! What the tests that break things share: an index to break, and all that it answers.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of several tests, each of which uses some"
)]

pub(crate) mod disk;
pub(crate) mod workload;

use std::path::Path;

use serde_json::json;
use siamese_index::{
    Collection, CollectionSettings, ContentCheck, DocumentDraft, DocumentWrite, EncoderIdentity,
    Error, GraphSettings, Index, IndexOptions, Metadata, NewPassage, Reclaim, SearchOptions,
    StoredDocument, StoredPassage, VectorPrecision,
};

pub(crate) const DIMENSIONS: usize = 8;
/// Multiples of this are long documents.
pub(crate) const LONG_VERSIONS: usize = 64;

/// Numbers that look random, the same for each seed (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// 0 to `end`, which is left out.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// A number from the environment, so that a long form of a test is one command.
pub(crate) fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

pub(crate) fn open(folder: &Path) -> Result<Index, Error> {
    open_checked(folder, ContentCheck::BeforeReads, VectorPrecision::Full)
}

/// The same; the default collection holds so much of vectors if it is made now.
pub(crate) fn open_with(folder: &Path, precision: VectorPrecision) -> Result<Index, Error> {
    open_checked(folder, ContentCheck::BeforeReads, precision)
}

/// As [`open`], to be read before all of it has been compared.
pub(crate) fn open_at_once(folder: &Path) -> Result<Index, Error> {
    open_checked(folder, ContentCheck::BeforeWrites, VectorPrecision::Full)
}

fn open_checked(
    folder: &Path,
    check: ContentCheck,
    precision: VectorPrecision,
) -> Result<Index, Error> {
    // Small heads, so that there are segments, and merges of segments. Each write moves pages.
    let options = IndexOptions {
        max_head_passages: 16,
        default_settings: CollectionSettings {
            graph: GraphSettings {
                precision,
                ..GraphSettings::default()
            },
            ..CollectionSettings::default()
        },
        reclaim: Some(Reclaim {
            over_ratio: 0.0,
            over_bytes: 0,
        }),
        min_free_disk_bytes: 0,
        check,
        ..IndexOptions::default()
    };
    Index::open(folder, &encoder(DIMENSIONS), &options)
}

/// What makes vectors of a length, which tests write themselves.
pub(crate) fn encoder(dimensions: usize) -> EncoderIdentity {
    EncoderIdentity {
        id: "e".to_owned(),
        name: "n".to_owned(),
        dimensions,
    }
}

/// A document whose text, metadata and vectors all follow from its version.
pub(crate) fn document(id: usize, version: usize) -> DocumentWrite {
    let metadata = json!({ "version": version, "tag": version % 3 });
    let metadata: Metadata = serde_json::from_value(metadata).unwrap();
    let text = format!("document {id} version {version}. ");
    // Some need several pieces in the store.
    let text = text.repeat(match version {
        version if version.is_multiple_of(LONG_VERSIONS) => 1000,
        version if version.is_multiple_of(4) => 250,
        _ => 1,
    });
    let passage = |n: usize| {
        let mut dice = Dice((id * 1_000_003 + version * 101 + n) as u64);
        let vector = (0..DIMENSIONS).map(|_| dice.below(2001) as f32 - 1000.5);
        NewPassage {
            start: 0,
            end: text.len(),
            vector: vector.collect(),
        }
    };
    DocumentWrite {
        passages: Some((0..1 + version % 2).map(passage).collect()),
        draft: DocumentDraft {
            id: format!("d{id}"),
            title: id.is_multiple_of(2).then(|| format!("title {version}")),
            text,
            metadata,
        },
    }
}

/// Everything that a collection answers.
#[derive(Debug, PartialEq)]
pub(crate) struct Contents {
    documents: Vec<(StoredDocument, Vec<StoredPassage>)>,
    counted: (u64, u64),
    /// Ids and scores of exact searches, and of those that walk graphs.
    found: Vec<Vec<(String, f32)>>,
}

pub(crate) fn contents(index: &Index) -> Result<Vec<(String, Contents)>, Error> {
    let collections = index.collections().into_iter();
    collections
        .map(|collection| Ok((collection.name().to_owned(), of_collection(&collection)?)))
        .collect()
}

fn of_collection(collection: &Collection) -> Result<Contents, Error> {
    let mut documents = Vec::new();
    for document in collection.reader().list(None, usize::MAX)? {
        let passages = collection.reader().passages(&document.id, true)?.unwrap();
        documents.push((document, passages));
    }
    let stats = collection.stats();
    let mut dice = Dice(7);
    let mut found = Vec::new();
    for exact in [true, false] {
        let query: Vec<f32> = (0..DIMENSIONS)
            .map(|_| dice.below(100) as f32 - 49.5)
            .collect();
        let options = SearchOptions {
            limit: 20,
            exact,
            // More than there is, so that a walk finds everything.
            ef: Some(10_000),
            ..SearchOptions::default()
        };
        let results = collection.reader().search(&query, &options)?;
        let hits = results.hits.into_iter();
        found.push(hits.map(|hit| (hit.id, hit.score)).collect());
    }
    Ok(Contents {
        documents,
        counted: (stats.documents, stats.passages),
        found,
    })
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs_err::copy(path, target).unwrap();
        }
    }
}
