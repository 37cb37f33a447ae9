//! AVX-512 with VNNI: 16 values or 64 codes at a time.

use std::arch::x86_64::*;

use super::{BITS_TOGETHER, BitRows, CodeRows, DotKernels, exact, portable};

const LANES: usize = 16;
const CODES: usize = 64;
/// Rows that are handled together, so that none waits for its own last sum.
const ROWS: usize = 4;

pub(crate) const KERNELS: DotKernels = DotKernels {
    dot,
    dot_codes,
    dot_and_square,
    dot_code_rows,
    sums_where_set,
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

/// # Safety
/// The CPU must have AVX-512F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn dot_code_rows(codes: &CodeRows<'_>, rows: &[u32], out: &mut [i32]) {
    let (chunks, rest) = codes.query.as_chunks::<CODES>();
    // The instruction wants one unsigned side: a row's codes + 128, whose excess is the same for all rows.
    let offset = _mm512_set1_epi8(i8::MIN);
    let mut excess = _mm512_setzero_si512();
    for query in chunks {
        // SAFETY: the array holds one register of codes.
        let query = unsafe { _mm512_loadu_si512(query.as_ptr().cast()) };
        excess = _mm512_dpbusd_epi32(excess, offset, query);
    }
    let excess = _mm512_reduce_add_epi32(excess);
    for (rows, out) in rows.chunks(ROWS).zip(out.chunks_mut(ROWS)) {
        // Places that are left over take the first row once more.
        let mut starts = [codes.row(rows[0]); ROWS];
        for (start, row) in starts.iter_mut().zip(rows) {
            *start = codes.row(*row);
        }
        let mut sums = [_mm512_setzero_si512(); ROWS];
        for (place, query) in chunks.iter().enumerate() {
            // SAFETY: the array holds one register of codes.
            let query = unsafe { _mm512_loadu_si512(query.as_ptr().cast()) };
            for (sum, row) in sums.iter_mut().zip(&starts) {
                // SAFETY: rows are as long as the query.
                let row = unsafe { _mm512_loadu_si512(row.as_ptr().add(place * CODES).cast()) };
                *sum = _mm512_dpbusd_epi32(*sum, _mm512_xor_si512(row, offset), query);
            }
        }
        for (out, sum) in out.iter_mut().zip(totals(sums)) {
            *out = sum - excess;
        }
        if !rest.is_empty() {
            for (out, row) in out.iter_mut().zip(starts) {
                *out += portable::dot_codes(rest, &row[chunks.len() * CODES..]);
            }
        }
    }
}

/// # Safety
/// The CPU must have AVX-512F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn sums_where_set(codes: &[i8], bits: &BitRows<'_>, rows: &[u32], out: &mut [i32]) {
    let (chunks, _) = codes.as_chunks::<BITS_TOGETHER>();
    let ones = _mm512_set1_epi8(1);
    for (rows, out) in rows.chunks(ROWS).zip(out.chunks_mut(ROWS)) {
        // Places that are left over take the first row once more.
        let mut starts = [bits.row(rows[0], codes.len()); ROWS];
        for (start, row) in starts.iter_mut().zip(rows) {
            *start = bits.row(*row, codes.len());
        }
        let mut sums = [_mm512_setzero_si512(); ROWS];
        for (place, chunk) in chunks.iter().enumerate() {
            // SAFETY: the array holds one register of codes.
            let chunk = unsafe { _mm512_loadu_si512(chunk.as_ptr().cast()) };
            for (sum, row) in sums.iter_mut().zip(&starts) {
                // SAFETY: a row has a bit for each code.
                let set = unsafe { row.as_ptr().cast::<u64>().add(place).read_unaligned() };
                *sum = _mm512_dpbusd_epi32(*sum, _mm512_maskz_mov_epi8(set, ones), chunk);
            }
        }
        for (out, sum) in out.iter_mut().zip(totals(sums)) {
            *out = sum;
        }
    }
}

/// The sum of each register's numbers.
#[target_feature(enable = "avx512f")]
fn totals(sums: [__m512i; ROWS]) -> [i32; ROWS] {
    let quarters = sums.map(|sum| {
        let (low, high) = (
            _mm512_castsi512_si256(sum),
            _mm512_extracti64x4_epi64::<1>(sum),
        );
        let half = _mm256_add_epi32(low, high);
        _mm_add_epi32(
            _mm256_castsi256_si128(half),
            _mm256_extracti128_si256::<1>(half),
        )
    });
    let left = _mm_hadd_epi32(quarters[0], quarters[1]);
    let right = _mm_hadd_epi32(quarters[2], quarters[3]);
    let mut totals = [0; ROWS];
    // SAFETY: the array holds one register.
    unsafe { _mm_storeu_si128(totals.as_mut_ptr().cast(), _mm_hadd_epi32(left, right)) };
    totals
}

/// The same operations on wider registers.
///
/// # Safety
/// The CPU must have AVX-512F.
#[target_feature(enable = "avx512f")]
unsafe fn dot_and_square(left: &[f32], right: &[f32]) -> (f64, f64) {
    exact::dot_and_square(left, right)
}
