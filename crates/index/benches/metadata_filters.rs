//! What filters, facets and the metadata index cost: memory, opening, writing, asking.
//!
//! `cargo bench -p siamese-index --bench metadata_filters -- [DOCUMENTS]`; vectors are short, so
//! that what is seen is metadata.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails when something fails"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_index::{
    Collection, Comparison, Condition, DocumentDraft, DocumentWrite, EncoderIdentity, FacetRequest,
    FieldPath, Filter, Index, IndexOptions, Metadata, NewPassage, Scalar, SearchOptions, Timestamp,
};

const DEFAULT_DOCUMENTS: usize = 100_000;
const BATCH_DOCUMENTS: usize = 1000;
const REPETITIONS: usize = 21;
const SINGLE_WRITES: usize = 200;

fn main() {
    let documents = std::env::args().find_map(|argument| argument.parse().ok());
    let documents = documents.unwrap_or(DEFAULT_DOCUMENTS);
    for with_metadata in [false, true] {
        println!("\n{documents} documents, metadata: {with_metadata}");
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), documents, with_metadata);
        let (before, started_at) = (resident_mib(), Instant::now());
        let index = open(folder.path());
        println!("open {:.2} s", started_at.elapsed().as_secs_f64());
        println!("resident +{:.0} MiB", resident_mib() - before);
        let collection = index.collection("default").unwrap();
        single_writes(&collection, documents, with_metadata);
        if with_metadata {
            queries(&collection);
            facets(&collection);
        }
    }
}

fn open(folder: &Path) -> Index {
    let encoder = EncoderIdentity {
        id: "e".to_owned(),
        name: "n".to_owned(),
        dimensions: 2,
    };
    Index::open(folder, &encoder, &IndexOptions::default()).unwrap()
}

fn metadata(n: usize) -> Metadata {
    let pick = |salt: usize, range: usize| {
        (n.wrapping_mul(2_654_435_761) >> 7).wrapping_add(salt * n) % range
    };
    let metadata = json!({
        "status": (["open", "closed", "waiting", "new"][pick(1, 4)]),
        "percent": pick(2, 100),
        "tags": [format!("tag-{}", pick(3, 1000)), format!("tag-{}", pick(5, 1000))],
        "author": {"name": format!("Author Number {}", pick(7, 10_000))},
        "url": format!("https://example.org/documents/{n:09}"),
        "created": format!("20{:02}-{:02}-{:02}T00:00:{:02}.{n:09}Z", n % 30, n % 12 + 1, n % 28 + 1, n % 60),
        "price": n as f64 / 7.0,
        "language": (["en", "de", "fr", "ja", "pt"][pick(11, 5)]),
        "active": n.is_multiple_of(2),
        "note": format!("A note of some sixty characters with the number {:010}", pick(13, 1000)),
    });
    serde_json::from_value(metadata).unwrap()
}

fn write(n: usize, with_metadata: bool) -> DocumentWrite {
    let text = format!("text {n}");
    let passages = Some(vec![NewPassage {
        start: 0,
        end: text.len(),
        vector: vec![1.0, n as f32],
    }]);
    let draft = DocumentDraft {
        id: format!("d{n}"),
        title: None,
        text,
        metadata: if with_metadata {
            metadata(n)
        } else {
            Metadata::new()
        },
    };
    DocumentWrite { draft, passages }
}

fn fill(folder: &Path, documents: usize, with_metadata: bool) {
    let started_at = Instant::now();
    let index = open(folder);
    let collection = index.collection("default").unwrap();
    for first in (0..documents).step_by(BATCH_DOCUMENTS) {
        let last = documents.min(first + BATCH_DOCUMENTS);
        let batch: Vec<_> = (first..last).map(|n| write(n, with_metadata)).collect();
        collection.writer().upsert(&batch).unwrap();
    }
    let rate = documents as f64 / started_at.elapsed().as_secs_f64();
    println!("fill {rate:.0} documents/s in batches of {BATCH_DOCUMENTS}");
}

fn single_writes(collection: &Collection, documents: usize, with_metadata: bool) {
    let mut times: Vec<Duration> = (0..SINGLE_WRITES)
        .map(|n| {
            let mut write = write(documents + n, with_metadata);
            // Half are replacements.
            write.draft.id = format!(
                "d{}",
                if n.is_multiple_of(2) {
                    documents + n
                } else {
                    n
                }
            );
            let started_at = Instant::now();
            collection.writer().upsert(&[write]).unwrap();
            started_at.elapsed()
        })
        .collect();
    println!(
        "one document a write: median {:.2} ms",
        median_ms(&mut times)
    );
}

fn queries(collection: &Collection) {
    let field = |path: &str, condition| Filter::Field(FieldPath::parse(path).unwrap(), condition);
    let scalar = |value: Value| Scalar::of(&value).unwrap();
    let below = |path, limit| field(path, Condition::Compares(Comparison::Less, scalar(limit)));
    for (name, filter) in [
        (
            "status = open",
            field("status", Condition::one_of([scalar(json!("open"))])),
        ),
        ("percent < 1", below("percent", json!(1))),
        ("percent < 50", below("percent", json!(50))),
        (
            "price < half (distinct numbers)",
            below("price", json!(7000)),
        ),
        (
            "created < 2015 (distinct strings)",
            below("created", json!("2015")),
        ),
        (
            "created < 2015 as moments",
            field(
                "created",
                Condition::ComparesMoment(
                    Comparison::Less,
                    Timestamp::parse("2015-01-01").unwrap(),
                ),
            ),
        ),
        (
            "url contains 77 (distinct strings)",
            field("url", Condition::Contains(scalar(json!("77")))),
        ),
        (
            "author prefix",
            field(
                "author.name",
                Condition::Prefix("Author Number 12".to_owned()),
            ),
        ),
        (
            "not tag-7",
            Filter::Not(Box::new(field(
                "tags",
                Condition::one_of([scalar(json!("tag-7"))]),
            ))),
        ),
    ] {
        let mut passing = 0;
        let median = measure(|| passing = collection.reader().count_matching(&filter).unwrap());
        println!("filter {name}: {median:.3} ms, {passing} pass");
    }
}

fn facets(collection: &Collection) {
    let percent = FieldPath::parse("percent").unwrap();
    let half = Scalar::of(&json!(50)).unwrap();
    let below_half = Filter::Field(percent, Condition::Compares(Comparison::Less, half));
    for path in ["status", "tags", "author.name", "url"] {
        let options = SearchOptions {
            limit: 1,
            filter: Some(below_half.clone()),
            facets: FacetRequest {
                paths: vec![FieldPath::parse(path).unwrap()],
                max_values: 10,
            },
            ..SearchOptions::default()
        };
        let without = SearchOptions {
            facets: FacetRequest::default(),
            ..options.clone()
        };
        let search = |options: &SearchOptions| {
            measure(|| drop(collection.reader().search(&[1.0, 0.0], options).unwrap()))
        };
        println!(
            "facet {path}: search {:.2} ms, without {:.2} ms",
            search(&options),
            search(&without)
        );
    }
}

fn measure(mut ask: impl FnMut()) -> f64 {
    let mut times: Vec<Duration> = (0..REPETITIONS)
        .map(|_| {
            let started_at = Instant::now();
            ask();
            started_at.elapsed()
        })
        .collect();
    median_ms(&mut times)
}

fn median_ms(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

/// Memory of this process, MiB; 0 where there is no `/proc`.
fn resident_mib() -> f64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}
