//! What the parts of the index take in memory, estimated from what is in them.
//!
//! Estimates depend on the content alone, so the same documents count the same however they came.
//! `tests/memory.rs` compares them with what a process takes.

use roaring::RoaringBitmap;

use super::posting::Posting;
use crate::filter::{Scalar, ScalarRef};

/// Blocks are two thirds full on average: they are split in halves and fill up again.
const ENTRIES_PER_USED: (u64, u64) = (3, 2);
/// A container of a bitmap, with the room that its list has in advance.
const CONTAINER_BYTES: u64 = 56;
/// Values that a bitmap keeps for a container that is full: 65536 bits.
const BITSET_BYTES: u64 = 8192;
/// A document by itself: its passages and a place in four bitmaps.
pub(super) const DOCUMENT_BYTES: u64 = 32;
/// A path without values: its structures, and its first blocks with room for four entries each.
pub(super) const PATH_BYTES: u64 = 768;
/// A path that found no room, with its first document.
pub(super) const UNINDEXED_PATH_BYTES: u64 = entry_bytes(size_of::<(u64, Posting)>());

/// Memory that an allocation takes: with what the allocator adds, in steps of 16 bytes.
pub(super) const fn allocation_bytes(bytes: usize) -> u64 {
    ((bytes + 8).next_multiple_of(16)) as u64
}

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

/// A bitmap with its allocations.
pub(super) fn bitmap_bytes(bitmap: &RoaringBitmap) -> u64 {
    let parts = bitmap.statistics();
    let arrays = u64::from(parts.n_values_array_containers) * size_of::<u16>() as u64;
    let bitsets = u64::from(parts.n_bitset_containers) * BITSET_BYTES;
    let containers = u64::from(parts.n_containers) * CONTAINER_BYTES;
    allocation_bytes(size_of::<RoaringBitmap>() + 2 * size_of::<usize>())
        + containers
        + arrays
        + bitsets
        + parts.n_bytes_run_containers
}
