//! bfloat16 with AVX-512 BF16: `vdpbf16ps` adds up two products in each of 16 lanes.

use std::arch::x86_64::*;

use super::code::{Code, GROUP_BYTES};
use super::{CodedKernels, CodedRow, CodedTile};

const LANES: usize = 16;
/// Registers of a panel's width.
const VECTORS: usize = 2;

pub(crate) static KERNELS: CodedKernels = CodedKernels {
    name: "bf16",
    code: Code::Bf16,
    tiles: &[
        tile::<1>, tile::<2>, tile::<3>, tile::<4>, tile::<5>, tile::<6>, tile::<7>, tile::<8>,
        tile::<9>, tile::<10>, tile::<11>, tile::<12>, tile::<13>, tile::<14>,
    ],
    code_row,
};

/// # Safety
/// The CPU has AVX-512F and BF16; all that `tile` points to is valid for `ROWS` rows.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn tile<const ROWS: usize>(tile: &CodedTile) {
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    let mut b = tile.b;
    for group in 0..tile.groups {
        // SAFETY: the group is inside the panel and the rows.
        unsafe {
            let mut columns = [_mm512_setzero_si512(); VECTORS];
            for (vector, column) in columns.iter_mut().enumerate() {
                *column = _mm512_loadu_si512(b.add(vector * LANES * GROUP_BYTES).cast());
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let codes = tile
                    .a
                    .add(row * tile.a_stride + group * GROUP_BYTES)
                    .cast::<i32>();
                let codes = _mm512_set1_epi32(codes.read_unaligned());
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = dot(*sum, codes, column);
                }
            }
            b = b.add(VECTORS * LANES * GROUP_BYTES);
        }
    }
    for (row, sums) in sums.into_iter().enumerate() {
        for (vector, sum) in sums.into_iter().enumerate() {
            // SAFETY: the row and the columns are inside `c`.
            unsafe { finish(tile, row, vector * LANES, sum) };
        }
    }
}

/// `sum + codes[0] * column[0] + codes[1] * column[1]` in each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn dot(sum: __m512, codes: __m512i, column: __m512i) -> __m512 {
    // SAFETY: all three types are 64 bytes of which every pattern is valid.
    unsafe {
        let (codes, column) = (
            std::mem::transmute::<__m512i, __m512bh>(codes),
            std::mem::transmute::<__m512i, __m512bh>(column),
        );
        _mm512_dpbf16_ps(sum, codes, column)
    }
}

/// # Safety
/// As [`tile`], for one register of one row.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn finish(tile: &CodedTile, row: usize, column: usize, sum: __m512) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut value = _mm512_add_ps(sum, _mm512_loadu_ps(tile.bias.add(column)));
        let c = tile.c.add(row * tile.c_stride + column);
        if tile.add {
            value = _mm512_add_ps(value, _mm512_loadu_ps(c));
        }
        _mm512_storeu_ps(c, value);
    }
}

/// # Safety
/// The CPU has AVX-512F and BF16; both are valid for `width` values, a multiple of 16.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn code_row(values: *const f32, width: usize, to: &CodedRow) {
    for at in (0..width).step_by(LANES) {
        // SAFETY: `at` is inside the row; both types are 32 bytes.
        unsafe {
            let codes = _mm512_cvtneps_pbh(_mm512_loadu_ps(values.add(at)));
            let codes = std::mem::transmute::<__m256bh, __m256i>(codes);
            _mm256_storeu_si256(to.codes.add(2 * at).cast(), codes);
        }
    }
}
