//! Products of short codes: less memory to read, and more products in one step where the CPU has
//! instructions for them.
//!
//! A group is four bytes: four 8-bit codes, two 16-bit codes or two bfloat16 values, whose products with another
//! group one lane adds up in one step. Weights are coded once, rows of the left matrix when they
//! are used.
//!
//! 8-bit codes: a block of 128 values of a row, and of a column of weights, is `code * scale`, codes from -127 to
//! 127, with 128 added in rows, since the instruction multiplies bytes with and without a sign. Both are mixed
//! before by a Hadamard matrix, which changes no product, as it is its own inverse but for a factor: a value that is
//! far larger than all others, as some of a transformer's states are, would leave the others few codes, and mixed it
//! is a small part of each. (QuIP: Chee et al., arXiv:2307.13304; QuaRot: Ashkboos et al., arXiv:2404.00456.)
//! Sums over codes are exact; scales come in at the end of a block. What a column's 8 bits leave out can have codes of
//! its own, as if the weights had 16 bits.
//! 16-bit codes have a scale for each block of a row, and for each column; bfloat16 has none.

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
}

/// Where the rows of a [`CodedRows`] are; shared by threads that have rows of their own.
#[derive(Debug, Clone, Copy)]
pub struct CodedView {
    codes: *mut u8,
    scales: *mut f32,
}

impl CodedRows {
    /// Makes room for `rows` of at most `width` codes.
    pub fn reserve(&mut self, rows: usize, width: usize) {
        let bytes = Code::Bf16.bytes(width).max(Code::Int8.bytes(width));
        self.codes.reserve(rows * bytes);
        self.scales.reserve(rows * Code::Int8.scales(width));
    }

    /// Where they are.
    pub fn view(&mut self) -> CodedView {
        CodedView {
            codes: self.codes.as_mut_ptr(),
            scales: self.scales.as_mut_ptr(),
        }
    }
}

/// Where one row of codes goes. bfloat16 has no scales.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "other CPUs have no products of codes yet")
)]
#[derive(Debug)]
struct CodedRow {
    codes: *mut u8,
    scales: *mut f32,
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
    b: *const u8,
    /// By block of 8-bit codes.
    column_scales: *const f32,
    /// What sums of 8-bit codes begin with, by block.
    column_offsets: *const i32,
    /// Times that a row meets the panel, whose second codes are what the first have left out.
    passes: usize,
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
        let panel = weights.panel(column);
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
                    b: panel.codes,
                    column_scales: panel.scales,
                    column_offsets: panel.offsets,
                    passes: panel.passes,
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

    /// Instruction sets that multiply 8-bit codes themselves.
    fn with_int8() -> impl Iterator<Item = (&'static Kernels, &'static CodedKernels)> {
        let coded = |kernels: &'static Kernels| Some((kernels, kernels.coded(Precision::Int8)?));
        let all = Kernels::available().iter().filter_map(coded);
        all.filter(|(_, coded)| coded.name == "int8")
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
            let c = multiply(kernels, coded, &a, &weights, rows, false);
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
        is_fine: bool,
    ) -> Vec<f32> {
        let depth = a.len() / rows;
        let columns = weights.len() / depth;
        let width = kernels.fill_up(depth);
        let mut packed = PackedMatrix::zeros(kernels, Precision::F32, depth, columns);
        for (at, weight) in weights.iter().enumerate() {
            packed.set(at / columns, at % columns, *weight);
        }
        if is_fine {
            (0..columns).for_each(|column| packed.set_fine(column));
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
            for value in multiply(kernels, coded, &weights[..depth], &weights, 1, false) {
                assert!((value / depth as f32 - 1.0).abs() < 1e-3, "{value}");
            }
        }
    }

    #[test]
    fn a_product_of_codes_is_close_to_the_product_of_numbers() {
        check(Precision::Int8, 0.4);
        check(Precision::Bf16, 0.1);
        check(Precision::Int16, 0.005);
    }

    #[test]
    fn one_large_value_does_not_leave_the_others_few_8_bit_codes() {
        let depth = 2 * code::INT8_BLOCK;
        let mut row = numbers(depth, 1);
        row[3] = 60.0;
        for (kernels, coded) in with_int8() {
            let mut weights = numbers(depth * kernels.panel, 2);
            // What the large value is worth in the product says nothing of what is left of the others.
            weights[3 * kernels.panel..][..kernels.panel].fill(0.0);
            let c = multiply(kernels, coded, &row, &weights, 1, true);
            for (column, value) in c.into_iter().enumerate() {
                let steps = row
                    .iter()
                    .zip(weights[column..].iter().step_by(kernels.panel));
                let exact: f32 = steps.map(|(value, weight)| value * weight).sum();
                assert!((value - exact).abs() < 0.25, "{value}, not {exact}");
            }
        }
    }

    #[test]
    fn fine_columns_of_8_bit_codes_leave_out_next_to_nothing() {
        let depth = 300;
        for (kernels, coded) in with_int8() {
            let weights = numbers(depth * kernels.panel, 2);
            // A single value, mixed, is 1 or -1 everywhere, which is coded exactly.
            let mut row = vec![0.0; depth];
            row[200] = 1.0;
            let off = |is_fine| {
                let c = multiply(kernels, coded, &row, &weights, 1, is_fine);
                let exact = &weights[200 * kernels.panel..];
                let off = c
                    .iter()
                    .zip(exact)
                    .map(|(value, exact)| (value - exact).abs());
                off.fold(0.0, f32::max)
            };
            assert!(off(false) > 0.001, "{}", off(false));
            assert!(off(true) < 0.0002, "{}", off(true));
        }
    }
}
