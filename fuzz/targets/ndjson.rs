//! Lines of a streamed ingest, however they are cut into pieces on their way.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use siamese_server::config::{Limits, Overrides, Settings};
use siamese_server::fuzzing::documents;

/// With a limit on lines that an input can go over.
static LIMITS: LazyLock<Limits> = LazyLock::new(|| {
    let settings = Settings::load(&Overrides::default());
    let limits = settings.expect("the defaults are settings").limits;
    Limits {
        max_line_bytes: 300,
        ..limits
    }
});

fuzz_target!(|input: &[u8]| {
    let Some((piece_bytes, body)) = input.split_first() else {
        return;
    };
    let read = |bytes| documents(body, bytes, &LIMITS).expect("a runtime");
    let whole = read(body.len());
    assert_eq!(
        read(*piece_bytes as usize),
        whole,
        "pieces change what is read"
    );
    let lines = body.split(|byte| *byte == b'\n').count();
    assert!(whole.len() <= lines, "more lines than there are");
});
