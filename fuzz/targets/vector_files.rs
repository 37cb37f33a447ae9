//! Files of vectors as ann-benchmarks has them.

#![no_main]

// As in csv.rs.
#[path = "../../crates/cli/src/vector_file.rs"]
mod vector_file;

use libfuzzer_sys::fuzz_target;
use siamese_fuzz::MemoryFile;

fuzz_target!(|input: &[u8]| {
    let file = MemoryFile::with("a.fvecs", input);
    let floats = vector_file::read_fvecs(&file.path);
    let integers = vector_file::read_ivecs(&file.path);
    assert_eq!(
        floats.is_ok(),
        integers.is_ok(),
        "both are rows of four bytes"
    );
});
