//! 16-bit codes: as close to the model as f32, at the speed of short numbers.
//!
//! Sums over a block of depth are exact in 32 bits: weights of a column are coded so that a block
//! of them cannot overflow, whatever the row. Blocks are added up in f32.

use super::pairs::{Avx2Madd, Avx512Madd, Avx512Vnni, Pairs};
use super::panels::{INT16_BLOCK, INT16_ROW};
use super::{Code, CodedKernels, CodedTile, GROUP_BYTES};
use crate::kernels::simd::Simd;

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
                    finish::<P>(tile, row, vector * lanes, sum, first == 0);
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
    is_first: bool,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let c = tile.c.add(row * tile.c_stride + column);
        let mut base = if is_first {
            P::Float::load(tile.bias.add(column))
        } else {
            P::Float::load(c)
        };
        if is_first && tile.add {
            base = P::Float::add(base, P::Float::load(c));
        }
        let scale = P::Float::load(tile.column_scales.add(column));
        let value = P::Float::mul(P::to_float(sum), scale);
        let scale = P::Float::splat(*tile.scales.add(row));
        P::Float::store(c, P::Float::mul_add(value, scale, base));
    }
}

/// Codes a row over its own range.
///
/// # Safety
/// The CPU has the instructions of `P`; both pointers are valid for `width` values, a multiple of
/// the lanes.
#[inline(always)]
unsafe fn code_row<P: Pairs>(values: *const f32, width: usize, to: *mut u8) -> (f32, f32) {
    let lanes = P::Float::LANES;
    // SAFETY: `at` is inside the row.
    unsafe {
        let (mut low, mut high) = (P::Float::splat(0.0), P::Float::splat(0.0));
        for at in (0..width).step_by(lanes) {
            let part = P::Float::load(values.add(at));
            low = P::Float::min(low, part);
            high = P::Float::max(high, part);
        }
        let largest = P::Float::largest(P::Float::max(
            high,
            P::Float::sub(P::Float::splat(0.0), low),
        ));
        let inverse = if largest > 0.0 {
            INT16_ROW as f32 / largest
        } else {
            0.0
        };
        for at in (0..width).step_by(lanes) {
            let part = P::Float::mul(P::Float::load(values.add(at)), P::Float::splat(inverse));
            P::store_rounded(to.add(2 * at), part);
        }
        (largest / INT16_ROW as f32, 0.0)
    }
}

/// Compiles the kernels for one kind of pairs: registers of a panel, rows of a tile, features.
macro_rules! compile {
    ($module:ident, $pairs:ty, $vectors:literal, [$($rows:literal)+], $feature:literal) => {
        pub(in crate::kernels) mod $module {
            use super::*;

            // SAFETY of both: the table is handed out only where the CPU has the features.
            #[target_feature(enable = $feature)]
            unsafe fn tile<const ROWS: usize>(tile: &CodedTile) {
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe { product::<$pairs, ROWS, $vectors>(tile) }
            }

            #[target_feature(enable = $feature)]
            unsafe fn code(values: *const f32, width: usize, to: *mut u8) -> (f32, f32) {
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe { code_row::<$pairs>(values, width, to) }
            }

            pub(in crate::kernels) static KERNELS: CodedKernels = CodedKernels {
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
