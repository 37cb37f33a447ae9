//! Other files that `siamese ingest` reads: JSON, lines of JSON, plain text, Markdown and web pages; the first byte
//! says which. Not PDF, whose reader is a process of its own that may end as it likes.

#![no_main]

// As in csv.rs.
#[path = "../../crates/cli/src/reading/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the binary uses more of it")]
mod reading;

use libfuzzer_sys::fuzz_target;
use reading::{Format, Item, ReadOptions};
use siamese_fuzz::MemoryFile;

const FORMATS: [Format; 5] = [
    Format::Jsonl,
    Format::Json,
    Format::Text,
    Format::Markdown,
    Format::Html,
];

fuzz_target!(|input: &[u8]| {
    let Some((kind, content)) = input.split_first() else {
        return;
    };
    let format = FORMATS[usize::from(*kind) % FORMATS.len()];
    let options = ReadOptions {
        format: Some(format),
        ..ReadOptions::default()
    };
    let file = MemoryFile::with("file", content);
    let found = reading::find(&[file.path.clone()], &options).expect("there is a current folder");
    for (_, item) in reading::items(&found.files, &options) {
        if let Item::Document(document) = item {
            assert!(
                !document.text.trim().is_empty(),
                "a document without a text"
            );
            serde_json::to_string(&document).expect("what is read can be sent");
        }
    }
});
