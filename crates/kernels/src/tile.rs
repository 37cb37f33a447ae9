//! The innermost product: a few rows of the left matrix times one panel of the right one.
//!
//! All sums of a tile stay in registers while the depth is walked once. Everything that multiplies
//! matrices, attention included, comes through here.

use std::ops::Range;

use super::simd::Simd;

/// What a tile product works on. Strides are in values.
///
/// `c = bias + a * b`, or `c += bias + a * b`; `a` is row-major with a value's neighbours in its
/// row, `b` has a row of the panel for each step of depth.
#[derive(Debug, Clone, Copy)]
pub struct Tile<B> {
    /// Values of a row of `a`, and rows of `b`.
    pub depth: usize,
    /// The first row of the left matrix.
    pub a: *const f32,
    /// From one row of `a` to the next.
    pub a_stride: usize,
    /// The first row of the panel.
    pub b: *const B,
    /// From one row of `b` to the next.
    pub b_stride: usize,
    /// The first row of the result.
    pub c: *mut f32,
    /// From one row of `c` to the next.
    pub c_stride: usize,
    /// One value for each column, or null.
    pub bias: *const f32,
    /// Whether `c` is added to instead of overwritten.
    pub add: bool,
}

/// A number in a packed panel.
pub(super) trait Weight: Copy {
    /// # Safety
    /// As [`Simd::load`].
    unsafe fn load<S: Simd>(from: *const Self) -> S::Vector;
}

impl Weight for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const Self) -> S::Vector {
        // SAFETY: the caller keeps the contract of `Simd::load`.
        unsafe { S::load(from) }
    }
}

/// A bfloat16: the upper half of an f32.
impl Weight for u16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const Self) -> S::Vector {
        // SAFETY: the caller keeps the contract of `Simd::load`.
        unsafe { S::load_bf16(from) }
    }
}

/// The sums of a tile: a register for each of its rows and each register of columns.
type Sums<S, const ROWS: usize, const VECTORS: usize> = [[<S as Simd>::Vector; VECTORS]; ROWS];

/// Multiplies `ROWS` rows by `VECTORS` registers of columns.
///
/// # Safety
/// The CPU has the instructions of `S`; every row, panel row and bias that `tile` points to is
/// valid, and `c` is not read or written by anyone else meanwhile.
#[inline(always)]
pub(super) unsafe fn product<S: Simd, B: Weight, const ROWS: usize, const VECTORS: usize>(
    tile: &Tile<B>,
) {
    // SAFETY: all offsets stay inside the rows that the caller vouches for.
    unsafe {
        let sums = start::<S, B, ROWS, VECTORS>(tile);
        let (a, b) = ((tile.a, tile.a_stride), (tile.b, tile.b_stride));
        let sums = accumulate::<S, B, ROWS, VECTORS>(sums, a, b, tile.depth);
        for (row, sums) in sums.iter().enumerate() {
            for (vector, sum) in sums.iter().enumerate() {
                S::store(tile.c.add(row * tile.c_stride + vector * S::LANES), *sum);
            }
        }
    }
}

/// Adds `a * b` to sums; each comes with its stride.
///
/// The sums are taken and returned by value. Whoever stores them goes over them by reference:
/// `into_iter` would move the array to an address that is not a register's multiple, and each load
/// from there waits until the store before it has left the CPU (12 % of a tile's time).
///
/// # Safety
/// The CPU has the instructions of `S`; `a` has `ROWS` rows of `depth` values, `b` as many rows of
/// `VECTORS` registers.
#[inline(always)]
unsafe fn accumulate<S: Simd, B: Weight, const ROWS: usize, const VECTORS: usize>(
    mut sums: Sums<S, ROWS, VECTORS>,
    (a, a_stride): (*const f32, usize),
    (mut b, b_stride): (*const B, usize),
    depth: usize,
) -> Sums<S, ROWS, VECTORS> {
    // SAFETY: all offsets stay inside the rows that the caller vouches for.
    unsafe {
        for step in 0..depth {
            let mut columns = [S::splat(0.0); VECTORS];
            for (vector, column) in columns.iter_mut().enumerate() {
                *column = B::load::<S>(b.add(vector * S::LANES));
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let value = S::splat(*a.add(row * a_stride + step));
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = S::mul_add(value, column, *sum);
                }
            }
            b = b.add(b_stride);
        }
    }
    sums
}

/// What the sums begin with.
///
/// # Safety
/// As [`product`].
#[inline(always)]
unsafe fn start<S: Simd, B, const ROWS: usize, const VECTORS: usize>(
    tile: &Tile<B>,
) -> Sums<S, ROWS, VECTORS> {
    // SAFETY: as in `product`.
    unsafe {
        let mut sums = [[S::splat(0.0); VECTORS]; ROWS];
        if !tile.bias.is_null() {
            for sums in &mut sums {
                for (vector, sum) in sums.iter_mut().enumerate() {
                    *sum = S::load(tile.bias.add(vector * S::LANES));
                }
            }
        }
        if tile.add {
            for (row, sums) in sums.iter_mut().enumerate() {
                for (vector, sum) in sums.iter_mut().enumerate() {
                    let c = tile.c.add(row * tile.c_stride + vector * S::LANES);
                    *sum = S::add(*sum, S::load(c));
                }
            }
        }
        sums
    }
}

/// Splits `rows` into ranges of nearly the same length, at most `largest`.
pub fn split(rows: usize, largest: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = rows.div_ceil(largest);
    (0..parts).map(move |part| rows * part / parts..rows * (part + 1) / parts)
}
