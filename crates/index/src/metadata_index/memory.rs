//! What the parts of the index take in memory, estimated from what is in them.
//!
//! Estimates depend on the content alone, so the same documents count the same however they came.
//! `tests/memory.rs` compares them with what a process takes.

use super::allocation::allocation_bytes;
use super::posting::Posting;
use crate::filter::{Scalar, ScalarRef};

/// Blocks are two thirds full on average: they are split in halves and fill up again.
const ENTRIES_PER_USED: (u64, u64) = (3, 2);
/// A document by itself: its passages and a place in four bitmaps.
pub(super) const DOCUMENT_BYTES: u64 = 32;
/// A path without values: its structures, and its first blocks with room for four entries each.
pub(super) const PATH_BYTES: u64 = 768;
/// A path that found no room, with its first document.
pub(super) const UNINDEXED_PATH_BYTES: u64 = entry_bytes(size_of::<(u64, Posting)>());

/// A value with one document.
pub(super) fn value_bytes(value: ScalarRef<'_>) -> u64 {
    let text = match value {
        ScalarRef::Text(text) => allocation_bytes(2 * size_of::<usize>() + text.len()),
        ScalarRef::Null | ScalarRef::Bool(_) | ScalarRef::Number(_) => 0,
    };
    entry_bytes(size_of::<(Scalar, Posting)>()) + text
}

const fn entry_bytes(size: usize) -> u64 {
    size as u64 * ENTRIES_PER_USED.0 / ENTRIES_PER_USED.1
}
