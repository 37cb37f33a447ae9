//! 8-bit codes with AVX-512 VNNI: `vpdpbusd` multiplies four unsigned by four signed bytes in each
//! of 16 lanes.

use std::arch::x86_64::*;

use super::code::{Code, GROUP_BYTES};
use super::{CodedKernels, CodedRow, CodedTile};

const LANES: usize = 16;
/// Registers of a panel's width.
const VECTORS: usize = 2;

pub(crate) static KERNELS: CodedKernels = CodedKernels {
    name: "int8",
    code: Code::Int8,
    tiles: &[
        tile::<1>, tile::<2>, tile::<3>, tile::<4>, tile::<5>, tile::<6>, tile::<7>, tile::<8>,
        tile::<9>, tile::<10>, tile::<11>, tile::<12>, tile::<13>, tile::<14>,
    ],
    code_row,
};

/// # Safety
/// The CPU has AVX-512F and VNNI; all that `tile` points to is valid for `ROWS` rows.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn tile<const ROWS: usize>(tile: &CodedTile) {
    let mut sums = [[_mm512_setzero_si512(); VECTORS]; ROWS];
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
                    *sum = _mm512_dpbusd_epi32(*sum, codes, column);
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

/// # Safety
/// As [`tile`], for one register of one row.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn finish(tile: &CodedTile, row: usize, column: usize, sum: __m512i) {
    // SAFETY: as the caller promises.
    unsafe {
        let zero = _mm512_set1_ps(*tile.zeros.add(row));
        let column_sum = _mm512_loadu_ps(tile.column_sums.add(column));
        let value = _mm512_fnmadd_ps(zero, column_sum, _mm512_cvtepi32_ps(sum));
        let scale = _mm512_set1_ps(*tile.scales.add(row));
        let scale = _mm512_mul_ps(scale, _mm512_loadu_ps(tile.column_scales.add(column)));
        let bias = _mm512_loadu_ps(tile.bias.add(column));
        let mut value = _mm512_fmadd_ps(value, scale, bias);
        let c = tile.c.add(row * tile.c_stride + column);
        if tile.add {
            value = _mm512_add_ps(value, _mm512_loadu_ps(c));
        }
        _mm512_storeu_ps(c, value);
    }
}

/// # Safety
/// The CPU has AVX-512F; both are valid for `width` values, a multiple of 16.
#[target_feature(enable = "avx512f")]
unsafe fn code_row(values: *const f32, width: usize, to: &CodedRow) {
    // SAFETY: `at` is inside the row.
    unsafe {
        let (mut low, mut high) = (_mm512_setzero_ps(), _mm512_setzero_ps());
        for at in (0..width).step_by(LANES) {
            let part = _mm512_loadu_ps(values.add(at));
            low = _mm512_min_ps(low, part);
            high = _mm512_max_ps(high, part);
        }
        let (low, high) = (_mm512_reduce_min_ps(low), _mm512_reduce_max_ps(high));
        let scale = (high - low) / 255.0;
        let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
        let zero = (-low * inverse).round_ties_even();
        let (factor, shift) = (_mm512_set1_ps(inverse), _mm512_set1_ps(zero));
        for at in (0..width).step_by(LANES) {
            let part = _mm512_fmadd_ps(_mm512_loadu_ps(values.add(at)), factor, shift);
            let codes = _mm512_cvtps_epi32(_mm512_max_ps(part, _mm512_setzero_ps()));
            _mm_storeu_si128(to.codes.add(at).cast(), _mm512_cvtusepi32_epi8(codes));
        }
        *to.scales = scale;
        *to.zero = zero;
    }
}
