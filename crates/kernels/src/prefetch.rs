//! Asks for memory before it is needed.

/// Bytes that one request brings.
const LINE_BYTES: usize = 64;

/// Begins to load the first `lines` cache lines of `row`; a wish, without any effect on results.
#[inline(always)]
pub fn prefetch<T>(row: &[T], lines: usize) {
    let bytes = size_of_val(row).min(lines * LINE_BYTES);
    for offset in (0..bytes).step_by(LINE_BYTES) {
        line(row.as_ptr().wrapping_byte_add(offset).cast());
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn line(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: SSE is a part of x86-64, and a prefetch of any address has no effect on memory.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn line(_address: *const i8) {}
