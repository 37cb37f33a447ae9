//! A process without file handles goes on writing: what has been opened at the start is enough.
//!
//! One test, since the limit is that of its process.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]
#![cfg(unix)]

mod support;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{document, open};

#[test]
fn writes_go_on_while_no_file_can_be_opened_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path()).unwrap();
    let collection = index.collection("default").unwrap();
    let write = |version: usize| {
        let documents: Vec<_> = (0..20).map(|id| document(id, version)).collect();
        collection.writer().upsert(&documents).unwrap();
    };
    write(1);
    assert!(index.settle());
    let limit = getrlimit(Resource::Nofile);
    let current = Some(limit.current.unwrap_or(1024).min(1024));
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
    let open_one = || fs_err::File::open("/dev/null");
    let mut hoard = Vec::new();
    // Background work, and the listing of the store for reclaiming, fail meanwhile.
    for version in 2..12 {
        // Again and again, since it gives handles back.
        hoard.extend(std::iter::from_fn(|| open_one().ok()));
        assert!(!hoard.is_empty() && open_one().is_err());
        write(version);
    }
    collection.writer().delete(&["d0".to_owned()]).unwrap();
    index.flush().unwrap();
    assert_eq!(index.conditions(), []);
    drop(hoard);
    write(12);
    assert!(index.settle());
    drop((collection, index));
    let index = open(folder.path()).unwrap();
    let collection = index.collection("default").unwrap();
    assert_eq!(collection.stats().documents, 20);
}
