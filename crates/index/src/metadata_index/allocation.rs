//! What allocations take in memory.

use roaring::RoaringBitmap;

/// A container of a bitmap, with the room that its list has in advance.
const CONTAINER_BYTES: u64 = 56;
/// Values that a bitmap keeps for a container that is full: 65536 bits.
const BITSET_BYTES: u64 = 8192;

/// Memory that an allocation takes: with what the allocator adds, in steps of 16 bytes.
pub(super) const fn allocation_bytes(bytes: usize) -> u64 {
    ((bytes + 8).next_multiple_of(16)) as u64
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
