//! AVX-512 with VNNI: 16 values or 64 codes at a time.

use std::arch::x86_64::*;

use super::{DotKernels, avx2, portable};

const LANES: usize = 16;
const CODES: usize = 64;

pub(crate) const KERNELS: DotKernels = DotKernels {
    dot,
    dot_codes,
    dot_and_square: avx2::dot_and_square,
};

/// # Safety
/// The CPU must have AVX-512F.
#[target_feature(enable = "avx512f")]
unsafe fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left_pairs, left_rest) = left.as_chunks::<{ 2 * LANES }>();
    let (right_pairs, right_rest) = right.as_chunks::<{ 2 * LANES }>();
    let mut sums = [_mm512_setzero_ps(); 2];
    for (a, b) in left_pairs.iter().zip(right_pairs) {
        for (half, sum) in sums.iter_mut().enumerate() {
            // SAFETY: both arrays hold two registers of values.
            let (a, b) = unsafe {
                (
                    _mm512_loadu_ps(a.as_ptr().add(half * LANES)),
                    _mm512_loadu_ps(b.as_ptr().add(half * LANES)),
                )
            };
            *sum = _mm512_fmadd_ps(a, b, *sum);
        }
    }
    let sum = _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]));
    sum + portable::dot(left_rest, right_rest)
}

/// # Safety
/// The CPU must have AVX-512F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn dot_codes(left: &[i8], right: &[i8]) -> i32 {
    let (left_chunks, left_rest) = left.as_chunks::<CODES>();
    let (right_chunks, right_rest) = right.as_chunks::<CODES>();
    let offset = _mm512_set1_epi8(i8::MIN);
    let (mut shifted, mut excess) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for (a, b) in left_chunks.iter().zip(right_chunks) {
        // SAFETY: both arrays hold one register of codes.
        let (a, b) = unsafe {
            (
                _mm512_loadu_si512(a.as_ptr().cast()),
                _mm512_loadu_si512(b.as_ptr().cast()),
            )
        };
        // The instruction wants one unsigned side: `a + 128`, whose excess is taken off below.
        shifted = _mm512_dpbusd_epi32(shifted, _mm512_xor_si512(a, offset), b);
        excess = _mm512_dpbusd_epi32(excess, offset, b);
    }
    let sum = _mm512_reduce_add_epi32(_mm512_sub_epi32(shifted, excess));
    sum + portable::dot_codes(left_rest, right_rest)
}
