//! Products of short codes: less memory to read, and more products in one step where the CPU has
//! instructions for them.
//!
//! A group is four bytes: four 8-bit codes, two 16-bit codes or two bfloat16 values, whose products with another
//! group one lane adds up in one step. Weights are coded once, rows of the left matrix when they
//! are used.
//!
//! 8-bit codes: a row is `(code - zero) * scale`, codes from 0 to 255 over the row's own range; a
//! column of weights is `code * scale`, codes from -127 to 127. Sums over codes are exact; scales
//! and the row's zero come in at the end:
//! `c = scale_row * scale_column * (sum - zero * sum of the column's codes) + bias`.
//! 16-bit codes have scales only, a row one for each block of depth; bfloat16 has neither scale nor zero.

#[cfg(target_arch = "x86_64")]
pub(super) mod bf16_avx512;
mod code;
#[cfg(target_arch = "x86_64")]
pub(super) mod int16;
#[cfg(target_arch = "x86_64")]
pub(super) mod int8_avx512;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod panels;

use std::ops::Range;

use super::{AlignedVec, Product, split};
use code::Code;
pub(super) use panels::CodedPanels;

/// A matrix of rows as codes.
#[derive(Debug, Default)]
pub struct CodedRows {
    codes: AlignedVec<u8>,
    scales: AlignedVec<f32>,
    zeros: AlignedVec<f32>,
}

/// Where the rows of a [`CodedRows`] are; shared by threads that have rows of their own.
#[derive(Debug, Clone, Copy)]
pub struct CodedView {
    codes: *mut u8,
    scales: *mut f32,
    zeros: *mut f32,
}

impl CodedRows {
    /// Makes room for `rows` of at most `width` codes.
    pub fn reserve(&mut self, rows: usize, width: usize) {
        self.codes.reserve(rows * Code::Bf16.bytes(width));
        self.scales.reserve(rows * Code::Int16.scales(width));
        self.zeros.reserve(rows);
    }

    /// Where they are.
    pub fn view(&mut self) -> CodedView {
        CodedView {
            codes: self.codes.as_mut_ptr(),
            scales: self.scales.as_mut_ptr(),
            zeros: self.zeros.as_mut_ptr(),
        }
    }
}

/// Where one row of codes goes. bfloat16 has neither scale nor zero, 16-bit codes have no zero.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "other CPUs have no products of codes yet")
)]
#[derive(Debug)]
struct CodedRow {
    codes: *mut u8,
    scales: *mut f32,
    zero: *mut f32,
}

/// Some rows of codes times one panel of coded weights.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "other CPUs have no products of codes yet")
)]
#[derive(Debug, Clone, Copy)]
struct CodedTile {
    /// Groups of a row.
    groups: usize,
    a: *const u8,
    /// Bytes from one row to the next.
    a_stride: usize,
    scales: *const f32,
    /// Scales from one row to the next.
    scales_stride: usize,
    zeros: *const f32,
    b: *const u8,
    column_scales: *const f32,
    column_sums: *const f32,
    bias: *const f32,
    c: *mut f32,
    c_stride: usize,
    add: bool,
}

type CodedTileFn = unsafe fn(&CodedTile);

/// The functions for one kind of code and one instruction set.
#[derive(Debug)]
pub struct CodedKernels {
    /// What is multiplied, as in [`Precision`](crate::Precision).
    pub name: &'static str,
    pub(super) code: Code,
    /// A tile of a panel's width, by its rows less one.
    tiles: &'static [CodedTileFn],
    /// Codes `width` values.
    code_row: unsafe fn(*const f32, usize, &CodedRow),
}

impl CodedKernels {
    /// Codes `width` values, a multiple of the lanes, as the row `row`.
    ///
    /// # Safety
    /// `values` is valid for `width` values; the view has room for that row behind rows of the
    /// same width, and nobody else uses it meanwhile.
    pub unsafe fn code_row(&self, values: *const f32, width: usize, to: &CodedView, row: usize) {
        // SAFETY: as the caller promises.
        unsafe {
            let to = CodedRow {
                codes: to.codes.add(row * self.code.bytes(width)),
                scales: to.scales.add(row * self.code.scales(width)),
                zero: to.zeros.add(row),
            };
            (self.code_row)(values, width, &to);
        }
    }

    /// One panel of a product; `width` is what the rows were coded with, and `bias` the panel's.
    ///
    /// # Safety
    /// The view has the product's rows, coded; `c` has the columns from `column` to the end of the
    /// panel, `bias` as many values.
    pub(super) unsafe fn multiply_panel(
        &self,
        product: &Product,
        (rows, width): (&CodedView, usize),
        weights: &CodedPanels,
        column: usize,
        bias: *const f32,
    ) {
        let stride = self.code.bytes(width);
        let scales_stride = self.code.scales(width);
        for range in split(product.rows, self.tiles.len()) {
            let Range { start, .. } = range;
            // SAFETY: the rows are inside the view and `c`, the panel inside the weights.
            unsafe {
                let tile = CodedTile {
                    groups: weights.groups,
                    a: rows.codes.add(start * stride),
                    a_stride: stride,
                    scales: rows.scales.add(start * scales_stride),
                    scales_stride,
                    zeros: rows.zeros.add(start),
                    b: weights.panel(column),
                    column_scales: weights.scales.as_ptr().add(column),
                    column_sums: weights.sums.as_ptr().add(column),
                    bias,
                    c: product.c.add(start * product.c_stride + column),
                    c_stride: product.c_stride,
                    add: product.add,
                };
                self.tiles[range.len() - 1](&tile);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernels, PackedMatrix, Precision};

    /// Rows and weights that are not alike in size, some of them zero.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        let number = |n: usize| ((n * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0;
        (0..count).map(number).collect()
    }

    /// Checks the products of a precision with every instruction set that has them.
    fn check(precision: Precision, tolerance: f32) {
        for kernels in Kernels::available() {
            if let Some(coded) = kernels.coded(precision) {
                check_with(kernels, coded, tolerance);
            }
        }
    }

    /// Multiplies up to 30 rows by two panels and compares with the product of the numbers.
    fn check_with(kernels: &'static Kernels, coded: &CodedKernels, tolerance: f32) {
        let (depth, columns) = (420, 2 * kernels.panel);
        let weights = numbers(depth * columns, 1);
        for rows in 1..=30 {
            let a: Vec<f32> = (0..rows).flat_map(|row| numbers(depth, row + 2)).collect();
            let c = multiply(kernels, coded, &a, &weights, rows);
            for (at, value) in c.iter().enumerate() {
                let (row, column) = (at / columns, at % columns);
                let exact: f32 = (0..depth)
                    .map(|step| a[row * depth + step] * weights[step * columns + column])
                    .sum();
                assert!(
                    (value - exact).abs() < tolerance,
                    "{} {}, {rows} rows: {value}, not {exact}",
                    kernels.name,
                    coded.name
                );
            }
        }
    }

    /// The product of `rows` rows and a row-major matrix.
    fn multiply(
        kernels: &'static Kernels,
        coded: &CodedKernels,
        a: &[f32],
        weights: &[f32],
        rows: usize,
    ) -> Vec<f32> {
        let depth = a.len() / rows;
        let columns = weights.len() / depth;
        let width = kernels.fill_up(depth);
        let mut packed = PackedMatrix::zeros(kernels, Precision::F32, depth, columns);
        for (at, weight) in weights.iter().enumerate() {
            packed.set(at / columns, at % columns, *weight);
        }
        let packed = packed.coded(coded);
        let mut filled_up = vec![0.0; rows * width];
        for (to, row) in filled_up.chunks_mut(width).zip(a.chunks(depth)) {
            to[..depth].copy_from_slice(row);
        }
        let mut buffer = CodedRows::default();
        buffer.reserve(rows, width);
        let view = buffer.view();
        let mut c = vec![f32::NAN; rows * columns];
        let product = Product {
            rows,
            a: filled_up.as_ptr(),
            a_stride: width,
            c: c.as_mut_ptr(),
            c_stride: columns,
            add: false,
            activation: None,
        };
        // SAFETY: all buffers have the sizes that are named.
        unsafe {
            for row in 0..rows {
                coded.code_row(product.a.add(row * width), width, &view, row);
            }
            let panels = 0..packed.panels();
            kernels.multiply_coded(coded, &product, (&view, width), &packed, panels);
        }
        c
    }

    #[test]
    fn sums_of_16_bit_codes_do_not_overflow_where_all_numbers_are_as_large_as_they_can_be() {
        let depth = 2 * code::INT16_BLOCK;
        for kernels in Kernels::available() {
            let Some(coded) = kernels.coded(Precision::Int16) else {
                continue;
            };
            let weights = vec![1.0; depth * kernels.panel];
            for value in multiply(kernels, coded, &weights[..depth], &weights, 1) {
                assert!((value / depth as f32 - 1.0).abs() < 1e-3, "{value}");
            }
        }
    }

    #[test]
    fn a_product_of_codes_is_close_to_the_product_of_numbers() {
        check(Precision::Int8, 0.2);
        check(Precision::Bf16, 0.1);
        check(Precision::Int16, 0.005);
    }
}
