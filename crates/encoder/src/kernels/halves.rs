//! Products made of halves: which rows and panels go into the sums and tiles of `strassen.rs`.

use std::ops::Range;

use super::packed_matrix::{PackedMatrix, Precision, Values};
use super::strassen::{self, Between, RowPair, SumOfTiles};
use super::table::{Kernels, Product, split};
use super::tile::Tile;

impl Product {
    /// The product of the last row alone.
    ///
    /// # Safety
    /// There is a row.
    unsafe fn last_row(&self) -> Self {
        let row = self.rows - 1;
        // SAFETY: the row is inside `a` and `c`.
        unsafe {
            Self {
                rows: 1,
                a: self.a.add(row * self.a_stride),
                c: self.c.add(row * self.c_stride),
                ..*self
            }
        }
    }
}

/// Where the sums of pairs of rows are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowSums {
    pub(crate) values: *mut f32,
    /// Values from one pair's sums to the next one's.
    pub(crate) stride: usize,
}

impl Kernels {
    /// Whether products are made of halves where they can be. With AVX-512 that is faster; with AVX2
    /// an earlier form made 0.81 to 1.08 times the plain product's speed, and with others nobody has
    /// measured.
    pub(crate) fn halves(&self, precision: Precision) -> bool {
        precision == Precision::F32 && self.lanes >= 16
    }

    /// Whether a product is better made of halves, and can be: [`Self::add_row_pairs`], then
    /// [`Self::multiply_halves`].
    pub(crate) fn can_halve(&self, product: &Product, weights: &PackedMatrix) -> bool {
        weights.sums().is_some() && product.rows >= strassen::MIN_ROWS
    }

    /// Adds up some of the product's pairs of rows, of which there are half as many as rows.
    ///
    /// # Safety
    /// `a` has `rows` rows of `depth` values, `sums` half as many rows of twice as many values; no
    /// one else uses those of `pairs` meanwhile.
    pub(crate) unsafe fn add_row_pairs(
        &self,
        product: &Product,
        depth: usize,
        sums: &RowSums,
        pairs: Range<usize>,
    ) {
        for pair in pairs {
            // SAFETY: both rows are inside `a`.
            unsafe {
                let upper = product.a.add(pair * product.a_stride);
                let rows = RowPair {
                    upper,
                    lower: upper.add(product.rows / 2 * product.a_stride),
                    sums: sums.values.add(pair * sums.stride),
                    half: depth / 2,
                };
                (self.add_rows)(&rows);
            }
        }
    }

    /// As [`Self::multiply`], for some panels of the left half and those of the right half that are
    /// as many panels further.
    ///
    /// # Safety
    /// As [`Self::multiply`]; the weights have sums, and `sums` has those of all pairs of rows.
    pub(crate) unsafe fn multiply_halves(
        &self,
        product: &Product,
        sums: &RowSums,
        weights: &PackedMatrix,
        panels: Range<usize>,
    ) {
        let mut between = Between::new();
        for panel in panels {
            for rows in split(product.rows / 2, self.tile_rows()) {
                // SAFETY: the rows and both panels are inside the product.
                unsafe {
                    self.multiply_four(product, sums, weights, panel, rows, between.tiles());
                }
            }
            if !product.rows.is_multiple_of(2) {
                // SAFETY: the last row is inside the product, as are both panels.
                unsafe {
                    let last = product.last_row();
                    for panel in [panel, panel + weights.panels() / 2] {
                        self.multiply(&last, weights, panel..panel + 1);
                    }
                }
            }
        }
    }

    /// Four tiles of the result: some rows of the upper half and as many of the lower, times a
    /// panel of the left half and one of the right.
    ///
    /// # Safety
    /// As [`Self::multiply_halves`]; there are not more rows than a tile has.
    unsafe fn multiply_four(
        &self,
        product: &Product,
        sums: &RowSums,
        weights: &PackedMatrix,
        panel: usize,
        rows: Range<usize>,
        [x, y, z]: [*mut f32; 3],
    ) {
        let (Values::Single(values), Some(weight_sums)) = (weights.values(), weights.sums()) else {
            debug_assert!(false, "these weights have no sums");
            return;
        };
        let (half, half_rows) = (weights.depth() / 2, product.rows / 2);
        let [t2, t1, t3, t4] = weight_sums.pair(panel);
        let columns = [panel, panel + weights.panels() / 2].map(|panel| panel * self.panel);
        let tile = |a, a_stride, b, c, add| {
            let tile = Tile {
                depth: half,
                a,
                a_stride,
                b,
                b_stride: self.panel,
                c,
                c_stride: self.panel,
                bias: std::ptr::null(),
                add,
            };
            // SAFETY: `a` has these rows of half the depth, `b` is half a panel, `c` a tile.
            unsafe { self.panels[rows.len() - 1](&tile) }
        };
        let finish = |parts: &[*mut f32], lower: usize, right: usize| {
            // SAFETY: the row and the columns are inside `c`.
            unsafe {
                let row = lower * half_rows + rows.start;
                let c = product.c.add(row * product.c_stride + columns[right]);
                let sum = SumOfTiles {
                    rows: rows.len(),
                    columns: self.panel,
                    parts,
                    bias: weights.bias().as_ptr().add(columns[right]),
                    c,
                    c_stride: product.c_stride,
                    add: product.add,
                };
                (self.add_tiles)(&sum);
                self.activate_rows(product, c, rows.len());
            }
        };
        // SAFETY: these are the beginnings of halves of rows and panels.
        unsafe {
            let [upper, lower] = [rows.start, half_rows + rows.start]
                .map(|row| product.a.add(row * product.a_stride));
            let [left, right] = columns.map(|column| values.as_ptr().add(column * weights.depth()));
            let below = half * self.panel;
            let row_sums = |sum| sums.values.add(rows.start * sums.stride + sum * half);
            tile(upper, product.a_stride, left, x, false);
            tile(upper.add(half), product.a_stride, left.add(below), y, false);
            finish(&[x, y], 0, 0);
            tile(row_sums(0), sums.stride, t2, x, true);
            tile(row_sums(1), sums.stride, t1, y, false);
            tile(row_sums(2), sums.stride, right.add(below), z, false);
            finish(&[x, y, z], 0, 1);
            tile(row_sums(3), sums.stride, t3, z, false);
            finish(&[x, y, z], 1, 1);
            tile(lower.add(half), product.a_stride, t4, y, false);
            finish(&[x, y, z], 1, 0);
        }
    }
}
