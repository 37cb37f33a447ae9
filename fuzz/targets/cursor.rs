//! Cursors of the lists that have some, with what a client may make of them: the first byte says which list, the
//! rest is a cursor, or changes of one that the service gave.

#![no_main]

use std::sync::{Mutex, PoisonError};

use libfuzzer_sys::fuzz_target;
use siamese_fuzz::{Edits, List, SmallService};

/// As an address has it.
fn encoded(cursor: &[u8]) -> String {
    cursor.iter().map(|byte| format!("%{byte:02x}")).collect()
}

static LISTS: Mutex<Vec<List>> = Mutex::new(Vec::new());

fuzz_target!(|input: &[u8]| {
    let Some((kind, cursor)) = input.split_first() else {
        return;
    };
    let service = SmallService::get();
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if lists.is_empty() {
        *lists = service.lists();
    }
    let list = &lists[usize::from(*kind >> 1) % lists.len()];
    let cursor = match kind % 2 {
        0 => cursor.to_vec(),
        _ => {
            let mut given = list.cursor.clone().into_bytes();
            Edits::new(cursor).apply(&mut given);
            given
        }
    };
    let address = format!("{}{}", list.address, encoded(&cursor));
    let status = service.ask("GET", &address, "", b"");
    if cursor == list.cursor.as_bytes() && status != Some(200) {
        // It goes in time, and with what it is about.
        assert!(
            matches!(status, Some(404 | 410 | 422)),
            "{address}: {status:?}"
        );
        lists.clear();
    }
});
