//! AVX2 and FMA: 8 values or 32 codes at a time.

use std::arch::x86_64::*;

use super::{BitRows, CodeRows, DotKernels, exact, portable};

const LANES: usize = 8;
const CODES: usize = 32;

pub(crate) const KERNELS: DotKernels = DotKernels {
    dot,
    dot_codes,
    dot_and_square,
    dot_code_rows,
    sums_where_set,
};

/// # Safety
/// The CPU must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left_pairs, left_rest) = left.as_chunks::<{ 2 * LANES }>();
    let (right_pairs, right_rest) = right.as_chunks::<{ 2 * LANES }>();
    let mut sums = [_mm256_setzero_ps(); 2];
    for (a, b) in left_pairs.iter().zip(right_pairs) {
        for (half, sum) in sums.iter_mut().enumerate() {
            // SAFETY: both arrays hold two registers of values.
            let (a, b) = unsafe {
                (
                    _mm256_loadu_ps(a.as_ptr().add(half * LANES)),
                    _mm256_loadu_ps(b.as_ptr().add(half * LANES)),
                )
            };
            *sum = _mm256_fmadd_ps(a, b, *sum);
        }
    }
    let sum = _mm256_add_ps(sums[0], sums[1]);
    let sum = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
    let sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    let sum = _mm_add_ss(sum, _mm_movehdup_ps(sum));
    _mm_cvtss_f32(sum) + portable::dot(left_rest, right_rest)
}

/// Codes lie in -127 to 127, so that a sum of two products fits 16 bits.
///
/// # Safety
/// The CPU must have AVX2.
#[target_feature(enable = "avx2")]
unsafe fn dot_codes(left: &[i8], right: &[i8]) -> i32 {
    let (left_chunks, left_rest) = left.as_chunks::<CODES>();
    let (right_chunks, right_rest) = right.as_chunks::<CODES>();
    let ones = _mm256_set1_epi16(1);
    let mut sum = _mm256_setzero_si256();
    for (a, b) in left_chunks.iter().zip(right_chunks) {
        // SAFETY: both arrays hold one register of codes.
        let (a, b) = unsafe {
            (
                _mm256_loadu_si256(a.as_ptr().cast()),
                _mm256_loadu_si256(b.as_ptr().cast()),
            )
        };
        // The instruction wants one unsigned side: the sign of `a` moves to `b`.
        let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
    total(sum) + portable::dot_codes(left_rest, right_rest)
}

/// # Safety
/// The CPU must have AVX2.
#[target_feature(enable = "avx2")]
unsafe fn dot_code_rows(codes: &CodeRows<'_>, rows: &[u32], out: &mut [i32]) {
    // SAFETY: the caller vouches for the instructions.
    codes.each(rows, out, |query, row| unsafe { dot_codes(query, row) });
}

/// # Safety
/// The CPU must have AVX2.
#[target_feature(enable = "avx2")]
unsafe fn sums_where_set(codes: &[i8], bits: &BitRows<'_>, rows: &[u32], out: &mut [i32]) {
    let (chunks, _) = codes.as_chunks::<CODES>();
    let (ones, one) = (_mm256_set1_epi8(1), _mm256_set1_epi16(1));
    // Each of four bytes goes to eight places, of which each asks for another bit.
    let spread = _mm256_setr_epi64x(
        0,
        0x0101_0101_0101_0101,
        0x0202_0202_0202_0202,
        0x0303_0303_0303_0303,
    );
    let bit = _mm256_set1_epi64x(i64::from_ne_bytes([1, 2, 4, 8, 16, 32, 64, 128]));
    for (row, out) in rows.iter().zip(out) {
        let (row, _) = bits.row(*row, codes.len()).as_chunks::<{ CODES / 8 }>();
        let mut sum = _mm256_setzero_si256();
        for (chunk, set) in chunks.iter().zip(row) {
            let set = _mm256_set1_epi32(i32::from_le_bytes(*set));
            let set = _mm256_and_si256(_mm256_shuffle_epi8(set, spread), bit);
            // SAFETY: the array holds one register of codes.
            let chunk = unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) };
            let chunk = _mm256_and_si256(chunk, _mm256_cmpeq_epi8(set, bit));
            let pairs = _mm256_maddubs_epi16(ones, chunk);
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, one));
        }
        *out = total(sum);
    }
}

/// The sum of a register's numbers.
#[target_feature(enable = "avx2")]
fn total(sum: __m256i) -> i32 {
    let sum = _mm_add_epi32(
        _mm256_castsi256_si128(sum),
        _mm256_extracti128_si256::<1>(sum),
    );
    let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b00_00_11_10>(sum));
    let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b00_00_00_01>(sum));
    _mm_cvtsi128_si32(sum)
}

/// The same operations on wider registers.
///
/// # Safety
/// The CPU must have AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn dot_and_square(left: &[f32], right: &[f32]) -> (f64, f64) {
    exact::dot_and_square(left, right)
}
