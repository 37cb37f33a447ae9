//! What the words cost: writing them, finding them, opening them again.
//!
//! `cargo bench -p siamese-index --bench lexical -- CORPUS.jsonl QUERIES.jsonl..`; all have one
//! `{"text": ".."}` on each line. Each text is cut into passages of about 100 words; vectors are
//! short, so that what is seen is words.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails when something fails"
)]

use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use siamese_index::{
    DocumentDraft, DocumentWrite, EncoderIdentity, Fusion, Index, IndexOptions, Metadata,
    NewPassage, Query, SearchOptions, WordQuery, WordSettings,
};

const BATCH_DOCUMENTS: usize = 32;
const PASSAGE_WORDS: usize = 100;

fn main() {
    let files: Vec<String> = std::env::args()
        .filter(|name| name.ends_with(".jsonl"))
        .collect();
    let [corpus, queries @ ..] = files.as_slice() else {
        println!("give a file of documents and some of queries, .jsonl");
        return;
    };
    let documents = documents(corpus);
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let collection = index.collection("default").unwrap();
    let (started_at, mut slowest) = (Instant::now(), 0.0_f64);
    for batch in documents.chunks(BATCH_DOCUMENTS) {
        let written_at = Instant::now();
        collection.writer().upsert(batch).unwrap();
        slowest = slowest.max(written_at.elapsed().as_secs_f64());
    }
    let (seconds, stats) = (started_at.elapsed().as_secs_f64(), collection.stats());
    println!("{} documents, {} passages", stats.documents, stats.passages);
    println!(
        "written in {seconds:.2} s, {:.0} us a passage, slowest batch {:.1} ms",
        seconds * 1e6 / stats.passages as f64,
        slowest * 1000.0
    );
    search(&index, queries, "as written");
    let started_at = Instant::now();
    assert!(index.settle());
    println!("settled in {:.2} s", started_at.elapsed().as_secs_f64());
    search(&index, queries, "settled");
    let stats = collection.stats();
    println!(
        "{} segments, {} bytes",
        stats.lexical_segments, stats.lexical_bytes
    );
    drop(collection);
    drop(index);
    let started_at = Instant::now();
    drop(open(folder.path()));
    println!("opened in {:.2} s", started_at.elapsed().as_secs_f64());
    fs_err::remove_dir_all(folder.path().join("lexical")).unwrap();
    let started_at = Instant::now();
    drop(open(folder.path()));
    println!(
        "opened without words in {:.2} s",
        started_at.elapsed().as_secs_f64()
    );
}

fn search(index: &Index, files: &[String], when: &str) {
    for file in files {
        search_by(index, &texts(file), &format!("{when}, {file}"));
    }
}

fn search_by(index: &Index, queries: &[String], when: &str) {
    let collection = index.collection("default").unwrap();
    let options = SearchOptions::default();
    let vector = [0.3, 0.1, 0.2, 0.4];
    let queries: Vec<WordQuery> = queries
        .iter()
        .map(|text| WordQuery::new(text, WordSettings::default()).unwrap())
        .collect();
    let measure = |name: &str, ask: &dyn Fn(&WordQuery)| {
        let mut micros: Vec<f64> = Vec::with_capacity(queries.len());
        for query in &queries {
            let started_at = Instant::now();
            ask(query);
            micros.push(started_at.elapsed().as_secs_f64() * 1e6);
        }
        micros.sort_by(f64::total_cmp);
        let at = |share: f64| micros[(share * (micros.len() - 1) as f64) as usize];
        println!(
            "{when}, {name}: p50 {:.0} us, p99 {:.0} us",
            at(0.5),
            at(0.99)
        );
    };
    measure("semantic", &|_| {
        drop(collection.reader().search(&vector, &options).unwrap())
    });
    measure("lexical", &|words| {
        drop(collection.reader().search(words, &options).unwrap())
    });
    measure("hybrid", &|words| {
        let query = Query::hybrid(&vector, words, Fusion::ReciprocalRank);
        drop(collection.reader().search(query, &options).unwrap());
    });
}

fn open(folder: &Path) -> Index {
    let encoder = EncoderIdentity {
        id: "e".to_owned(),
        name: "n".to_owned(),
        dimensions: 4,
    };
    Index::open(folder, &encoder, &IndexOptions::default()).unwrap()
}

fn texts(file: &str) -> Vec<String> {
    let lines = fs_err::read_to_string(file).unwrap();
    let text = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["text"].as_str().unwrap().to_owned()
    };
    lines.lines().map(text).collect()
}

fn documents(file: &str) -> Vec<DocumentWrite> {
    let document = |(number, text): (usize, String)| {
        let passages = passages(&text, number);
        DocumentWrite {
            draft: DocumentDraft {
                id: format!("d{number}"),
                title: None,
                text,
                metadata: Metadata::new(),
            },
            passages: Some(passages),
        }
    };
    texts(file).into_iter().enumerate().map(document).collect()
}

fn passages(text: &str, number: usize) -> Vec<NewPassage> {
    let spaces = text.match_indices(' ').map(|(place, _)| place);
    let mut ends: Vec<usize> = spaces.skip(PASSAGE_WORDS).step_by(PASSAGE_WORDS).collect();
    ends.push(text.len());
    let mut start = 0;
    let passage = |end| {
        let angle = (number + start) as f32;
        let passage = NewPassage {
            start,
            end,
            vector: vec![angle.sin(), angle.cos(), (angle * 1.7).sin(), 0.3],
        };
        start = end;
        passage
    };
    ends.into_iter().map(passage).collect()
}
