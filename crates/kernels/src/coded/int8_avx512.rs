//! 8-bit codes with AVX-512 VNNI: `vpdpbusd` multiplies four unsigned by four signed bytes in each
//! of 16 lanes.

use std::arch::x86_64::*;

use super::code::{Code, GROUP_BYTES, INT8_BLOCK};
use super::panels::{INT8_LARGEST, INT8_SHIFT};
use super::{CodedKernels, CodedRow, CodedTile};

const LANES: usize = 16;
/// Registers of a panel's width.
const VECTORS: usize = 2;
/// Groups of a block.
const BLOCK_GROUPS: usize = INT8_BLOCK / GROUP_BYTES;
/// Registers of a block.
const BLOCK_VECTORS: usize = INT8_BLOCK / LANES;

pub(crate) static KERNELS: CodedKernels = CodedKernels {
    name: "int8",
    code: Code::Int8,
    // With more rows LLVM moves sums through memory, though there are registers for 14.
    tiles: &[
        tile::<1>, tile::<2>, tile::<3>, tile::<4>, tile::<5>, tile::<6>, tile::<7>, tile::<8>,
        tile::<9>, tile::<10>, tile::<11>, tile::<12>,
    ],
    code_row,
};

/// # Safety
/// The CPU has AVX-512F and VNNI; all that `tile` points to is valid for `ROWS` rows.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn tile<const ROWS: usize>(tile: &CodedTile) {
    let blocks = tile.groups / BLOCK_GROUPS;
    let mut b = tile.b;
    for block in 0..blocks * tile.passes {
        // SAFETY: the block is inside the panel and, in each pass, inside the rows; the columns are inside `c`.
        unsafe {
            let offsets = tile.column_offsets.add(block * VECTORS * LANES);
            let mut begin = [_mm512_setzero_si512(); VECTORS];
            for (vector, begin) in begin.iter_mut().enumerate() {
                *begin = _mm512_loadu_si512(offsets.add(vector * LANES).cast());
            }
            let mut sums = [begin; ROWS];
            let first = block % blocks * BLOCK_GROUPS;
            // Always a whole block. If the compiler knew, it would unroll the loop until registers run out.
            let last = tile.groups.min(first + BLOCK_GROUPS);
            for group in first..last {
                let mut columns = [_mm512_setzero_si512(); VECTORS];
                for (vector, column) in columns.iter_mut().enumerate() {
                    *column = _mm512_loadu_si512(b.add(vector * LANES * GROUP_BYTES).cast());
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let codes = tile.a.add(row * tile.a_stride + group * GROUP_BYTES);
                    let codes = _mm512_set1_epi32(codes.cast::<i32>().read_unaligned());
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = _mm512_dpbusd_epi32(*sum, codes, column);
                    }
                }
                b = b.add(VECTORS * LANES * GROUP_BYTES);
            }
            for (row, sums) in sums.into_iter().enumerate() {
                for (vector, sum) in sums.into_iter().enumerate() {
                    finish(tile, row, vector * LANES, sum, (block, block % blocks));
                }
            }
        }
    }
}

/// Adds the sums of a block of the panel, met by one of the row, to `c`, the first ones to the bias.
///
/// # Safety
/// As [`tile`], for one register of one row.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn finish(
    tile: &CodedTile,
    row: usize,
    column: usize,
    sum: __m512i,
    (block, row_block): (usize, usize),
) {
    // SAFETY: as the caller promises.
    unsafe {
        let c = tile.c.add(row * tile.c_stride + column);
        let mut base = if block == 0 {
            _mm512_loadu_ps(tile.bias.add(column))
        } else {
            _mm512_loadu_ps(c)
        };
        if block == 0 && tile.add {
            base = _mm512_add_ps(base, _mm512_loadu_ps(c));
        }
        let scales = tile.column_scales.add(block * VECTORS * LANES + column);
        let value = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(scales));
        let scale = _mm512_set1_ps(*tile.scales.add(row * tile.scales_stride + row_block));
        _mm512_storeu_ps(c, _mm512_fmadd_ps(value, scale, base));
    }
}

/// # Safety
/// The CPU has AVX-512F; `values` is valid for `width` values, a multiple of 16, and `to` for whole blocks.
#[target_feature(enable = "avx512f")]
unsafe fn code_row(values: *const f32, width: usize, to: &CodedRow) {
    for (block, first) in (0..width).step_by(INT8_BLOCK).enumerate() {
        let mut parts = [_mm512_setzero_ps(); BLOCK_VECTORS];
        // SAFETY: what is read is inside the row, what is written inside its blocks.
        unsafe {
            for (part, at) in parts.iter_mut().zip((first..width).step_by(LANES)) {
                *part = _mm512_loadu_ps(values.add(at));
            }
            *to.scales.add(block) = code_block(mixed(parts), to.codes.add(first));
        }
    }
}

/// Codes a block; returns what a code of 1 stands for.
///
/// # Safety
/// The CPU has AVX-512F; `to` is valid for a block.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn code_block(parts: [__m512; BLOCK_VECTORS], to: *mut u8) -> f32 {
    let largest = parts.iter().fold(_mm512_setzero_ps(), |largest, part| {
        _mm512_max_ps(largest, _mm512_abs_ps(*part))
    });
    // The first is the sum of all, which is no number when one of them is none; then the scale is none.
    let sum = _mm512_cvtss_f32(parts[0]);
    let scale = _mm512_reduce_max_ps(largest) / INT8_LARGEST + 0.0 * sum;
    let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
    let (factor, shift) = (_mm512_set1_ps(inverse), _mm512_set1_ps(INT8_SHIFT as f32));
    for (vector, part) in parts.into_iter().enumerate() {
        let codes = _mm512_cvtps_epi32(_mm512_fmadd_ps(part, factor, shift));
        // SAFETY: the register's codes are inside the block.
        unsafe { _mm_storeu_si128(to.add(vector * LANES).cast(), _mm512_cvtusepi32_epi8(codes)) };
    }
    scale
}

/// A block times the Hadamard matrix, as weights are mixed.
#[inline]
#[target_feature(enable = "avx512f")]
fn mixed(mut parts: [__m512; BLOCK_VECTORS]) -> [__m512; BLOCK_VECTORS] {
    // -1 where a lane is the second of its pair.
    let sign = |distance: i32| {
        let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let is_second = _mm512_test_epi32_mask(lanes, _mm512_set1_epi32(distance));
        _mm512_mask_blend_ps(is_second, _mm512_set1_ps(1.0), _mm512_set1_ps(-1.0))
    };
    let signs = [sign(1), sign(2), sign(4), sign(8)];
    for part in &mut parts {
        let other = _mm512_permute_ps::<0b10_11_00_01>(*part);
        *part = _mm512_fmadd_ps(*part, signs[0], other);
        let other = _mm512_permute_ps::<0b01_00_11_10>(*part);
        *part = _mm512_fmadd_ps(*part, signs[1], other);
        let other = _mm512_shuffle_f32x4::<0b10_11_00_01>(*part, *part);
        *part = _mm512_fmadd_ps(*part, signs[2], other);
        let other = _mm512_shuffle_f32x4::<0b01_00_11_10>(*part, *part);
        *part = _mm512_fmadd_ps(*part, signs[3], other);
    }
    let mut distance = 1;
    while distance < BLOCK_VECTORS {
        for first in (0..BLOCK_VECTORS).filter(|vector| vector & distance == 0) {
            let (left, right) = (parts[first], parts[first + distance]);
            parts[first] = _mm512_add_ps(left, right);
            parts[first + distance] = _mm512_sub_ps(left, right);
        }
        distance *= 2;
    }
    parts
}
