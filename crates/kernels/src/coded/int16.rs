//! 16-bit codes: as close to the model as f32, at the speed of short numbers.
//!
//! Sums over a block of depth are exact in 32 bits: a block of a row and one of a column are coded
//! so that they cannot overflow. Blocks, each with the row's own scale there, are added up in f32.

use super::code::{Code, GROUP_BYTES, INT16_BLOCK};
use super::pairs::{Avx2Madd, Avx512Madd, Avx512Vnni, Pairs};
use super::panels::{INT16_LARGEST, INT16_LENGTH};
use super::{CodedKernels, CodedRow, CodedTile};
use crate::simd::Simd;

/// Pairs of a block.
const BLOCK_PAIRS: usize = INT16_BLOCK / 2;

/// # Safety
/// The CPU has the instructions of `P`; all that `tile` points to is valid for `ROWS` rows.
#[inline(always)]
unsafe fn product<P: Pairs, const ROWS: usize, const VECTORS: usize>(tile: &CodedTile) {
    let lanes = P::Float::LANES;
    let mut b = tile.b;
    for first in (0..tile.groups).step_by(BLOCK_PAIRS) {
        let last = tile.groups.min(first + BLOCK_PAIRS);
        // SAFETY: the groups are inside the panel and the rows, the columns inside `c`.
        unsafe {
            let mut sums = [[P::zero(); VECTORS]; ROWS];
            for group in first..last {
                let mut columns = [P::zero(); VECTORS];
                for (vector, column) in columns.iter_mut().enumerate() {
                    *column = P::load(b.add(vector * lanes * GROUP_BYTES));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let pair = P::splat(tile.a.add(row * tile.a_stride + group * GROUP_BYTES));
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = P::dot(*sum, pair, column);
                    }
                }
                b = b.add(VECTORS * lanes * GROUP_BYTES);
            }
            for (row, sums) in sums.into_iter().enumerate() {
                for (vector, sum) in sums.into_iter().enumerate() {
                    finish::<P>(tile, row, vector * lanes, sum, first / BLOCK_PAIRS);
                }
            }
        }
    }
}

/// Adds the sums of a block to `c`, the first ones to the bias.
///
/// # Safety
/// As [`product`], for one register of one row.
#[inline(always)]
unsafe fn finish<P: Pairs>(
    tile: &CodedTile,
    row: usize,
    column: usize,
    sum: P::Register,
    block: usize,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let c = tile.c.add(row * tile.c_stride + column);
        let mut base = if block == 0 {
            P::Float::load(tile.bias.add(column))
        } else {
            P::Float::load(c)
        };
        if block == 0 && tile.add {
            base = P::Float::add(base, P::Float::load(c));
        }
        let scale = P::Float::load(tile.column_scales.add(column));
        let value = P::Float::mul(P::to_float(sum), scale);
        let scale = P::Float::splat(*tile.scales.add(row * tile.scales_stride + block));
        P::Float::store(c, P::Float::mul_add(value, scale, base));
    }
}

/// Codes a row, each block over its own range.
///
/// # Safety
/// The CPU has the instructions of `P`; `values` and `to` are valid for `width` values, a multiple
/// of the lanes, `scales` for as many as there are blocks.
#[inline(always)]
unsafe fn code_row<P: Pairs>(values: *const f32, width: usize, to: *mut u8, scales: *mut f32) {
    for (block, first) in (0..width).step_by(INT16_BLOCK).enumerate() {
        let count = INT16_BLOCK.min(width - first);
        // SAFETY: the block is inside the row.
        unsafe {
            let scale = code_block::<P>(values.add(first), count, to.add(2 * first));
            *scales.add(block) = scale;
        }
    }
}

/// Codes a block; returns what a code of 1 stands for.
///
/// # Safety
/// As [`code_row`], for one block.
#[inline(always)]
unsafe fn code_block<P: Pairs>(values: *const f32, count: usize, to: *mut u8) -> f32 {
    let lanes = P::Float::LANES;
    // SAFETY: `at` is inside the block.
    unsafe {
        let zero = P::Float::splat(0.0);
        let (mut low, mut high, mut squares) = (zero, zero, zero);
        for at in (0..count).step_by(lanes) {
            let part = P::Float::load(values.add(at));
            low = P::Float::min(low, part);
            high = P::Float::max(high, part);
            squares = P::Float::mul_add(part, part, squares);
        }
        let largest = P::Float::largest(P::Float::max(high, P::Float::sub(zero, low)));
        let length = P::Float::sum(squares).sqrt();
        // The length is not a number when one of the values is none; then the scale is none.
        let scale = (length / INT16_LENGTH).max(largest / INT16_LARGEST) + 0.0 * length;
        let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
        for at in (0..count).step_by(lanes) {
            let part = P::Float::mul(P::Float::load(values.add(at)), P::Float::splat(inverse));
            P::store_rounded(to.add(2 * at), part);
        }
        scale
    }
}

/// Compiles the kernels for one kind of pairs: registers of a panel, rows of a tile, features.
macro_rules! compile {
    ($module:ident, $pairs:ty, $vectors:literal, [$($rows:literal)+], $feature:literal) => {
        pub(crate) mod $module {
            use super::*;

            // SAFETY of both: the table is handed out only where the CPU has the features.
            #[target_feature(enable = $feature)]
            unsafe fn tile<const ROWS: usize>(tile: &CodedTile) {
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe { product::<$pairs, ROWS, $vectors>(tile) }
            }

            #[target_feature(enable = $feature)]
            unsafe fn code(values: *const f32, width: usize, to: &CodedRow) {
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe { code_row::<$pairs>(values, width, to.codes, to.scales) }
            }

            pub(crate) static KERNELS: CodedKernels = CodedKernels {
                name: "int16",
                code: Code::Int16,
                tiles: &[$(tile::<$rows>),+],
                code_row: code,
            };
        }
    };
}

// Panels are as wide as those of the instruction set's f32 kernels.
compile!(avx512_vnni, Avx512Vnni, 2, [1 2 3 4 5 6 7 8 9 10 11 12 13 14], "avx512f,avx512bw,avx512vnni");
compile!(avx512, Avx512Madd, 2, [1 2 3 4 5 6 7 8 9 10 11 12 13 14], "avx512f,avx512bw");
compile!(avx2, Avx2Madd, 2, [1 2 3 4 5 6], "avx2,fma");
