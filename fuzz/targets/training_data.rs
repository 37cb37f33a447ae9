//! Examples for `siamese train`: lines of JSON, or a table when the first byte is odd.

#![no_main]

use libfuzzer_sys::fuzz_target;
use siamese_fuzz::MemoryFile;

fuzz_target!(|input: &[u8]| {
    let Some((kind, content)) = input.split_first() else {
        return;
    };
    let file = MemoryFile::with(["a.jsonl", "a.csv"][usize::from(kind % 2)], content);
    if let Ok(data) = siamese_train::read(std::slice::from_ref(&file.path)) {
        assert!(
            !data.examples.is_empty(),
            "nothing was read, and nothing said"
        );
    }
});
