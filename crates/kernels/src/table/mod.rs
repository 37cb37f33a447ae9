//! The table of kernels, compiled once for each instruction set and chosen at run time.

mod compiled;

use std::ops::Range;
use std::sync::OnceLock;

use super::coded::{CodedKernels, CodedView};
use super::dot::{BITS_TOGETHER, BitRows, CodeRows, DotKernels};
use super::packed_matrix::{PackedMatrix, Values};
use super::precision::Precision;
use super::rows::Activation;
use super::tile::{Tile, Weight, split};

type TileFn<B> = unsafe fn(&Tile<B>);

/// What everything uses, once somebody has asked.
static CHOSEN: OnceLock<&'static Kernels> = OnceLock::new();

/// Kernels that cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAvailable {
    wanted: String,
    available: Vec<&'static str>,
}

impl std::fmt::Display for NotAvailable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "no arithmetic for {:?} can be used here; there is {}",
            self.wanted,
            self.available.join(", ")
        )
    }
}

impl std::error::Error for NotAvailable {}

/// Kernels for one instruction set.
///
/// All unsafe functions take raw rows: widths are multiples of a register's values, as
/// [`Self::fill_up`] makes them; strides are in values.
#[derive(Debug)]
pub struct Kernels {
    /// What the instruction set is called.
    pub name: &'static str,
    /// Values of a register.
    lanes: usize,
    /// Columns of a packed panel.
    pub panel: usize,
    /// A tile of a panel's width, by its rows less one.
    panels: &'static [TileFn<f32>],
    /// The same with bfloat16 panels.
    narrow_panels: &'static [TileFn<u16>],
    /// A tile of a register's width, by its rows less one.
    strips: &'static [TileFn<f32>],
    activate: unsafe fn(*mut f32, usize, Activation),
    gate: unsafe fn(*mut f32, *const f32, usize, Activation),
    softmax: unsafe fn(*mut f32, usize) -> f32,
    layer_norm: unsafe fn(*mut f32, usize, &LayerNorm),
    scale: unsafe fn(*mut f32, f32, usize),
    dots: DotKernels,
    coded: CodedTable,
}

/// Products of codes by precision; `None` where the CPU has no instructions for them.
#[derive(Debug)]
struct CodedTable {
    int16: Option<&'static CodedKernels>,
    bf16: Option<&'static CodedKernels>,
    int8: Option<&'static CodedKernels>,
}

impl CodedTable {
    const NONE: Self = Self {
        int16: None,
        bf16: None,
        int8: None,
    };
}

/// Gains and shifts of a layer norm, filled up with zeros.
#[derive(Debug)]
pub struct LayerNorm {
    /// What each value is multiplied by.
    pub gain: super::AlignedVec<f32>,
    /// What is added then.
    pub shift: super::AlignedVec<f32>,
    /// Values that count; the others are zeros.
    pub features: usize,
    /// Added to the variance, so that it is not zero.
    pub epsilon: f32,
    /// Whether the mean becomes 0.
    pub centred: bool,
}

/// Rows of the left matrix and of the result of a product with packed weights.
#[derive(Debug, Clone, Copy)]
pub struct Product {
    /// Rows of both.
    pub rows: usize,
    /// The first row of the left matrix.
    pub a: *const f32,
    /// From one row of `a` to the next.
    pub a_stride: usize,
    /// The first row of the result.
    pub c: *mut f32,
    /// From one row of `c` to the next.
    pub c_stride: usize,
    /// Whether `c` is added to instead of overwritten.
    pub add: bool,
    /// Applied to what has been summed.
    pub activation: Option<Activation>,
}

impl Kernels {
    /// The fastest this CPU can run, or the ones that were chosen.
    pub fn detected() -> &'static Self {
        CHOSEN.get_or_init(|| &Self::available()[0])
    }

    /// Has [`Self::detected`] return kernels of this name, to see what another machine would get from them. Before anything
    /// else, since whoever has asked already keeps what it has.
    ///
    /// # Errors
    /// [`NotAvailable`] when this CPU cannot run them, or others are in use.
    pub fn choose(name: &str) -> Result<(), NotAvailable> {
        let available = Self::available();
        let found = available.iter().find(|kernels| kernels.name == name);
        let in_use = found.map(|found| CHOSEN.get_or_init(|| found));
        match in_use {
            Some(in_use) if in_use.name == name => Ok(()),
            _ => Err(NotAvailable {
                wanted: name.to_owned(),
                available: available.iter().map(|kernels| kernels.name).collect(),
            }),
        }
    }

    /// All this CPU can run, fastest first.
    pub fn available() -> &'static [Self] {
        static AVAILABLE: OnceLock<Vec<Kernels>> = OnceLock::new();
        AVAILABLE.get_or_init(|| {
            let mut kernels = compiled::native();
            kernels.push(compiled::portable());
            tracing::debug!(kernels = kernels[0].name, "arithmetic on vectors");
            kernels
        })
    }

    /// Rows of a tile at most.
    pub fn tile_rows(&self) -> usize {
        self.panels.len()
    }

    /// `width` filled up to whole registers.
    pub fn fill_up(&self, width: usize) -> usize {
        width.next_multiple_of(self.lanes)
    }

    /// Multiplies rows by some panels of packed weights, adds the bias, applies the activation.
    ///
    /// # Safety
    /// `a` has `rows` rows of `weights.depth()` values and `c` has `rows` rows that hold all
    /// columns; columns of `panels` are not touched by anyone else meanwhile.
    pub unsafe fn multiply(&self, product: &Product, weights: &PackedMatrix, panels: Range<usize>) {
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
    pub fn coded(&self, precision: Precision) -> Option<&'static CodedKernels> {
        match precision {
            Precision::F32 => None,
            Precision::Int16 => self.coded.int16,
            Precision::Bf16 => self.coded.bf16,
            Precision::Int8 => self.coded.int8,
        }
    }

    /// The dot product of two vectors of one length; the longer one's end is left out.
    #[inline(always)]
    pub fn dot(&self, left: &[f32], right: &[f32]) -> f32 {
        let length = left.len().min(right.len());
        // SAFETY: a table is made only where its instructions are; the lengths are equal.
        unsafe { (self.dots.dot)(&left[..length], &right[..length]) }
    }

    /// The dot product of two rows of codes of one length; the longer one's end is left out.
    #[inline(always)]
    pub fn dot_codes(&self, left: &[i8], right: &[i8]) -> i32 {
        let length = left.len().min(right.len());
        // SAFETY: a table is made only where its instructions are; the lengths are equal.
        unsafe { (self.dots.dot_codes)(&left[..length], &right[..length]) }
    }

    /// The dot products of a row of codes with some rows of a matrix, which has as many codes a row as the query.
    ///
    /// # Panics
    /// Where the matrix has no such row.
    #[inline]
    pub fn dot_code_rows(&self, query: &[i8], matrix: &[i8], rows: &[u32], out: &mut [i32]) {
        let codes = CodeRows { query, matrix };
        // SAFETY: the table is there because the CPU has the instructions; rows and results are looked up by slices.
        unsafe { (self.dots.dot_code_rows)(&codes, rows, out) }
    }

    /// Sums of those codes whose bit is set, for some rows of bits.
    ///
    /// # Panics
    /// Where there is no such row, and unless there are a multiple of [`BITS_TOGETHER`] codes.
    #[inline]
    pub fn sums_where_set(&self, codes: &[i8], bits: &BitRows<'_>, rows: &[u32], out: &mut [i32]) {
        assert!(
            codes.len().is_multiple_of(BITS_TOGETHER),
            "{} codes",
            codes.len()
        );
        // SAFETY: the table is there because the CPU has the instructions; rows and results are looked up by slices.
        unsafe { (self.dots.sums_where_set)(codes, bits, rows, out) }
    }

    /// The dot product of two vectors of one length and the square of the right one's length, in
    /// f64; the same on every CPU. The longer one's end is left out.
    #[inline(always)]
    pub fn dot_and_square(&self, left: &[f32], right: &[f32]) -> (f64, f64) {
        let length = left.len().min(right.len());
        // SAFETY: a table is made only where its instructions are; the lengths are equal.
        unsafe { (self.dots.dot_and_square)(&left[..length], &right[..length]) }
    }

    /// Multiplies rows that follow each other in `a` by all of `weights`. A row of `c` has as many
    /// values as all panels have columns.
    ///
    /// # Panics
    /// When `a` is not whole rows, `c` is not as many, or the weights were packed for others.
    pub fn multiply_rows(&self, a: &[f32], weights: &PackedMatrix, c: &mut [f32]) {
        let (depth, columns) = (weights.depth(), weights.panels() * self.panel);
        let rows = a.len() / depth;
        assert!(weights.panel() == self.panel, "packed for other kernels");
        assert!(a.len() == rows * depth && c.len() == rows * columns);
        let product = Product {
            rows,
            a: a.as_ptr(),
            a_stride: depth,
            c: c.as_mut_ptr(),
            c_stride: columns,
            add: false,
            activation: None,
        };
        // SAFETY: both have as many rows, as wide as the weights are deep and have columns.
        unsafe { self.multiply(&product, weights, 0..weights.panels()) }
    }

    /// As [`Self::multiply`], from coded rows, which come with the width that was coded.
    ///
    /// # Safety
    /// The view has the product's rows; as [`Self::multiply`] for `c`.
    pub unsafe fn multiply_coded(
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
    pub unsafe fn multiply_tile(&self, tile: &Tile<f32>, rows: usize, width: usize) {
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
    pub unsafe fn softmax(&self, scores: *mut f32, width: usize) -> f32 {
        // SAFETY: the caller's promise is the kernel's.
        unsafe { (self.softmax)(scores, width) }
    }

    /// Layer norm of one row, in place.
    ///
    /// # Safety
    /// `row` is valid for as many values as `norm` has gains.
    pub unsafe fn layer_norm(&self, row: *mut f32, norm: &LayerNorm) {
        // SAFETY: the caller's promise is the kernel's.
        unsafe { (self.layer_norm)(row, norm.gain.len(), norm) }
    }

    /// Applies an activation to `values` in place, and multiplies them by `gates`.
    ///
    /// # Safety
    /// Both are valid for `width` values.
    pub unsafe fn gate(
        &self,
        values: *mut f32,
        gates: *const f32,
        width: usize,
        activation: Activation,
    ) {
        // SAFETY: the caller's promise is the kernel's.
        unsafe { (self.gate)(values, gates, width, activation) }
    }

    /// `row *= factor`.
    ///
    /// # Safety
    /// `row` is valid for `width` values.
    pub unsafe fn scale(&self, row: *mut f32, factor: f32, width: usize) {
        // SAFETY: the caller's promise is the kernel's.
        unsafe { (self.scale)(row, factor, width) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_that_the_cpu_lacks_or_that_come_too_late_are_refused() {
        let best = Kernels::detected();
        assert_eq!(Kernels::choose(best.name), Ok(()));
        let available = Kernels::available().iter().map(|kernels| kernels.name);
        for name in available.chain(["mmx"]).filter(|name| *name != best.name) {
            let refused = Kernels::choose(name).unwrap_err().to_string();
            assert!(
                refused.contains(name) && refused.contains("portable"),
                "{refused}"
            );
        }
    }
}
