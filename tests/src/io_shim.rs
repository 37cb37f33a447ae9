//! The library that lets calls for files fail or hang.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles it into `folder`; `crates/index/tests/support/io_shim.c` says what it does.
///
/// # Panics
/// When there is no C compiler.
pub fn io_shim(folder: &Path) -> PathBuf {
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/index/tests/support/io_shim.c");
    let library = folder.join("io_shim.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .status();
    assert!(compiled.expect("cc, which Rust links with").success());
    library
}
