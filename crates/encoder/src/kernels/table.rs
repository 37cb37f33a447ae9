//! The table of kernels, compiled once for each instruction set and chosen at run time.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::coded;
use super::coded::{CodedKernels, CodedView};
use super::packed_matrix::{PackedMatrix, Precision, Values};
use super::rows::{self, Activation};
use super::simd::{self, Simd};
use super::tile::{self, Tile, Weight};

type TileFn<B> = unsafe fn(&Tile<B>);

/// Kernels for one instruction set.
///
/// All functions take raw rows: widths are multiples of [`Self::lanes`], strides are in values.
#[derive(Debug)]
pub(crate) struct Kernels {
    pub(crate) name: &'static str,
    /// Values of a register.
    pub(crate) lanes: usize,
    /// Columns of a packed panel.
    pub(crate) panel: usize,
    /// A tile of a panel's width, by its rows less one.
    panels: &'static [TileFn<f32>],
    /// The same with bfloat16 panels.
    narrow_panels: &'static [TileFn<u16>],
    /// A tile of a register's width, by its rows less one.
    strips: &'static [TileFn<f32>],
    activate: unsafe fn(*mut f32, usize, Activation),
    softmax: unsafe fn(*mut f32, usize) -> f32,
    layer_norm: unsafe fn(*mut f32, usize, &LayerNorm),
    scale: unsafe fn(*mut f32, f32, usize),
}

/// Gains and shifts of a layer norm, filled up with zeros.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    pub(crate) gain: super::AlignedVec<f32>,
    pub(crate) shift: super::AlignedVec<f32>,
    /// Values that count; the others are zeros.
    pub(crate) features: usize,
    pub(crate) epsilon: f32,
}

/// Rows of the left matrix and of the result of a product with packed weights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    pub(crate) rows: usize,
    pub(crate) a: *const f32,
    pub(crate) a_stride: usize,
    pub(crate) c: *mut f32,
    pub(crate) c_stride: usize,
    /// Whether `c` is added to instead of overwritten.
    pub(crate) add: bool,
    pub(crate) activation: Option<Activation>,
}

impl Kernels {
    /// The fastest this CPU can run.
    pub(crate) fn detect() -> &'static Self {
        Self::available()[0]
    }

    /// All this CPU can run, fastest first.
    pub(crate) fn available() -> Vec<&'static Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                found.push(&avx512::KERNELS);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                found.push(&avx2::KERNELS);
            }
        }
        #[cfg(target_arch = "aarch64")]
        found.push(&neon::KERNELS);
        found.push(&portable::KERNELS);
        found
    }

    /// Columns of a panel of packed weights.
    pub(crate) fn panel_width(&self) -> usize {
        self.panel
    }

    /// Rows of a tile at most.
    pub(crate) fn tile_rows(&self) -> usize {
        self.panels.len()
    }

    /// `width` filled up to whole registers.
    pub(crate) fn fill_up(&self, width: usize) -> usize {
        width.next_multiple_of(self.lanes)
    }

    /// Multiplies rows by some panels of packed weights, adds the bias, applies the activation.
    ///
    /// # Safety
    /// `a` has `rows` rows of `weights.depth()` values and `c` has `rows` rows that hold all
    /// columns; columns of `panels` are not touched by anyone else meanwhile.
    pub(crate) unsafe fn multiply(
        &self,
        product: &Product,
        weights: &PackedMatrix,
        panels: Range<usize>,
    ) {
        for panel in panels {
            // SAFETY: the panel is inside the weights, so its columns are inside `c`.
            unsafe {
                let c = product.c.add(panel * self.panel);
                let bias = weights.bias().as_ptr().add(panel * self.panel);
                match weights.values() {
                    Values::Single(values) => {
                        let b = values.as_ptr().add(panel * self.panel * weights.depth());
                        self.multiply_panel(product, weights.depth(), b, c, bias, self.panels);
                    }
                    Values::Coded(_) => debug_assert!(false, "codes are multiplied by codes"),
                    Values::Half(values) => {
                        let b = values.as_ptr().add(panel * self.panel * weights.depth());
                        self.multiply_panel(
                            product,
                            weights.depth(),
                            b,
                            c,
                            bias,
                            self.narrow_panels,
                        );
                    }
                }
            }
        }
    }

    /// Products of codes for a precision, if this CPU has instructions for them. Those for 16-bit
    /// codes stand in for others: they are as short as bfloat16 and closer to f32 than either.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn coded(&self, precision: Precision) -> Option<&'static CodedKernels> {
        let is_avx512 = self.panels.as_ptr() == avx512::KERNELS.panels.as_ptr();
        let is_avx2 = self.panels.as_ptr() == avx2::KERNELS.panels.as_ptr();
        let has_vnni = is_avx512 && is_x86_feature_detected!("avx512vnni");
        match precision {
            Precision::F32 => None,
            Precision::Int8 if has_vnni => Some(&coded::int8_avx512::KERNELS),
            Precision::Bf16 if is_avx512 && is_x86_feature_detected!("avx512bf16") => {
                Some(&coded::bf16_avx512::KERNELS)
            }
            _ if has_vnni => Some(&coded::int16::avx512_vnni::KERNELS),
            _ if is_avx512 && is_x86_feature_detected!("avx512bw") => {
                Some(&coded::int16::avx512::KERNELS)
            }
            _ if is_avx2 => Some(&coded::int16::avx2::KERNELS),
            _ => None,
        }
    }

    /// This CPU has no instructions for products of codes.
    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn coded(&self, _: Precision) -> Option<&'static CodedKernels> {
        None
    }

    /// As [`Self::multiply`], from coded rows, which come with the width that was coded.
    ///
    /// # Safety
    /// The view has the product's rows; as [`Self::multiply`] for `c`.
    pub(crate) unsafe fn multiply_coded(
        &self,
        coded: &CodedKernels,
        product: &Product,
        rows: (&CodedView, usize),
        weights: &PackedMatrix,
        panels: Range<usize>,
    ) {
        let Values::Coded(values) = weights.values() else {
            debug_assert!(false, "codes are multiplied by codes");
            return;
        };
        for panel in panels {
            let column = panel * self.panel;
            // SAFETY: the panel is inside the weights, so its columns are inside `c`.
            unsafe {
                let bias = weights.bias().as_ptr().add(column);
                coded.multiply_panel(product, rows, values, column, bias);
                self.activate_rows(product, product.c.add(column), product.rows);
            }
        }
    }

    /// Applies the product's activation to a panel's columns of some rows.
    ///
    /// # Safety
    /// `c` has `rows` rows of a panel's width.
    unsafe fn activate_rows(&self, product: &Product, c: *mut f32, rows: usize) {
        let Some(activation) = product.activation else {
            return;
        };
        for row in 0..rows {
            // SAFETY: the row is inside `c`.
            unsafe { (self.activate)(c.add(row * product.c_stride), self.panel, activation) };
        }
    }

    /// # Safety
    /// As [`Self::multiply`], for one panel at `b` and its columns at `c` and `bias`.
    unsafe fn multiply_panel<B: Weight>(
        &self,
        product: &Product,
        depth: usize,
        b: *const B,
        c: *mut f32,
        bias: *const f32,
        tiles: &[TileFn<B>],
    ) {
        for rows in split(product.rows, tiles.len()) {
            // SAFETY: the rows are inside `a` and `c`.
            unsafe {
                let tile = Tile {
                    depth,
                    a: product.a.add(rows.start * product.a_stride),
                    a_stride: product.a_stride,
                    b,
                    b_stride: self.panel,
                    c: c.add(rows.start * product.c_stride),
                    c_stride: product.c_stride,
                    bias,
                    add: product.add,
                };
                tiles[rows.len() - 1](&tile);
                self.activate_rows(product, tile.c, rows.len());
            }
        }
    }

    /// Multiplies at most [`Self::tile_rows`] rows by `width` columns, which are not packed.
    ///
    /// # Safety
    /// As for [`Tile`]; `b` and `c` hold `width` columns.
    pub(crate) unsafe fn multiply_tile(&self, tile: &Tile<f32>, rows: usize, width: usize) {
        let mut at = 0;
        while at < width {
            // SAFETY: `at` is inside `b` and `c`.
            let part = unsafe {
                Tile {
                    b: tile.b.add(at),
                    c: tile.c.add(at),
                    ..*tile
                }
            };
            let whole_panel = width - at >= self.panel;
            let tiles = if whole_panel {
                self.panels
            } else {
                self.strips
            };
            // SAFETY: the tile's columns end at `width`, a multiple of the lanes.
            unsafe { tiles[rows - 1](&part) };
            at += if whole_panel { self.panel } else { self.lanes };
        }
    }

    /// Turns scores into weights up to a factor, which is returned.
    ///
    /// # Safety
    /// `scores` is valid for `width` values, at least one register.
    pub(crate) unsafe fn softmax(&self, scores: *mut f32, width: usize) -> f32 {
        // SAFETY: the caller's promise is the kernel's.
        unsafe { (self.softmax)(scores, width) }
    }

    /// Layer norm of one row, in place.
    ///
    /// # Safety
    /// `row` is valid for as many values as `norm` has gains.
    pub(crate) unsafe fn layer_norm(&self, row: *mut f32, norm: &LayerNorm) {
        // SAFETY: the caller's promise is the kernel's.
        unsafe { (self.layer_norm)(row, norm.gain.len(), norm) }
    }

    /// `row *= factor`.
    ///
    /// # Safety
    /// `row` is valid for `width` values.
    pub(crate) unsafe fn scale(&self, row: *mut f32, factor: f32, width: usize) {
        // SAFETY: the caller's promise is the kernel's.
        unsafe { (self.scale)(row, factor, width) }
    }
}

/// Splits `rows` into ranges of nearly the same length, at most `largest`.
pub(crate) fn split(rows: usize, largest: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = rows.div_ceil(largest);
    (0..parts).map(move |part| rows * part / parts..rows * (part + 1) / parts)
}

/// Compiles the kernels for one instruction set: its [`Simd`], registers of a panel, rows of a
/// tile, and the features to enable.
macro_rules! compile {
    ($module:ident, $simd:ty, $vectors:literal, [$($rows:literal)+] $(, $feature:literal)?) => {
        mod $module {
            use super::*;

            type S = $simd;

            // SAFETY of all: the table is handed out only where the CPU has the features.
            $(#[target_feature(enable = $feature)])?
            unsafe fn tile<B: Weight, const ROWS: usize, const VECTORS: usize>(tile: &Tile<B>) {
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe { tile::product::<S, B, ROWS, VECTORS>(tile) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn activate(values: *mut f32, width: usize, activation: Activation) {
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe { rows::activate::<S>(values, width, activation) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn softmax(scores: *mut f32, width: usize) -> f32 {
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe { rows::softmax::<S>(scores, width) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn layer_norm(row: *mut f32, width: usize, norm: &LayerNorm) {
                let (gain, shift) = (norm.gain.as_ptr(), norm.shift.as_ptr());
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe {
                    rows::layer_norm::<S>(row, width, norm.features, gain, shift, norm.epsilon);
                }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn scale(row: *mut f32, factor: f32, width: usize) {
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe { rows::scale::<S>(row, factor, width) }
            }

            pub(super) static KERNELS: Kernels = Kernels {
                name: stringify!($module),
                lanes: S::LANES,
                panel: S::LANES * $vectors,
                panels: &[$(tile::<f32, $rows, $vectors>),+],
                narrow_panels: &[$(tile::<u16, $rows, $vectors>),+],
                strips: &[$(tile::<f32, $rows, 1>),+],
                activate,
                softmax,
                layer_norm,
                scale,
            };
        }
    };
}

// A tile's sums, a row of the panel and one value of the left matrix fill the registers.
#[cfg(target_arch = "x86_64")]
compile!(avx512, simd::Avx512, 2, [1 2 3 4 5 6 7 8 9 10 11 12 13 14], "avx512f");
#[cfg(target_arch = "x86_64")]
compile!(avx2, simd::Avx2, 2, [1 2 3 4 5 6], "avx2,fma");
#[cfg(target_arch = "aarch64")]
compile!(neon, simd::Neon, 4, [1 2 3 4 5 6]);
compile!(portable, simd::Portable, 2, [1 2 3 4 5 6]);
