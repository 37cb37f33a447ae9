//! Tables as `siamese ingest` reads them: the first byte says with which options.

#![no_main]

// The readers are a part of the binary, which has no library; here they are compiled once more.
#[path = "../../crates/cli/src/reading/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the binary uses more of it")]
mod reading;

use libfuzzer_sys::fuzz_target;
use reading::{Format, Item, ReadOptions};
use siamese_fuzz::MemoryFile;

fuzz_target!(|input: &[u8]| {
    let Some((kind, table)) = input.split_first() else {
        return;
    };
    let delimiter = [None, Some(b','), Some(b';'), Some(b'\t')][usize::from(kind % 4)];
    let encoding = [
        None,
        Some(encoding_rs::UTF_16LE),
        Some(encoding_rs::SHIFT_JIS),
        None,
    ];
    let options = ReadOptions {
        delimiter,
        encoding: encoding[usize::from(kind / 4 % 4)],
        format: Some(Format::Csv),
        ..ReadOptions::default()
    };
    let file = MemoryFile::with("table", table);
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
