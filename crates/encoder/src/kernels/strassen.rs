//! Products with one eighth fewer multiplications: one level of Strassen's algorithm.
//!
//! The left matrix is halved in rows and depth, the right one in depth and columns. Seven products
//! of halves, or of sums of halves, make what eight products make otherwise. The form is Winograd's:
//!
//! ```text
//! S1 = A21 + A22   S2 = S1 - A11   S3 = A11 - A21   S4 = A12 - S2
//! T1 = B12 - B11   T2 = B22 - T1   T3 = B22 - B12   T4 = B21 - T2
//! U2 = A11 B11 + S2 T2             U4 = U2 + S1 T1
//! C11 = A11 B11 + A12 B21          C12 = U4 + S4 B22
//! C22 = U4 + S3 T3                 C21 = U2 + S3 T3 + A22 T4
//! ```
//!
//! The sums of weights are made once, with the weights; those of rows before each product. The four
//! tiles of the result that belong together are made one after the other, so that what they share
//! stays in the first-level cache, and each is stored once.
//!
//! Rounding errors of a row depend on the row it is paired with: they are relative to the larger of
//! the two. Rows of one product have been through the same layer norm and are about as long as each
//! other.
//!
//! Strassen, "Gaussian elimination is not optimal", 1969; Huang, Smith, Henry, van de Geijn,
//! "Strassen's algorithm reloaded", SC16, for making products without storing them.

use super::AlignedVec;
use super::simd::Simd;

/// Fewer rows are multiplied the plain way, whose weights are fewer to read. With 96 rows and more
/// halves are faster; between the two it has not been measured.
pub(crate) const MIN_ROWS: usize = 64;

/// The sums `T2`, `T1`, `T3` and `T4` of a matrix of weights, for each panel of its left half.
#[derive(Debug)]
pub(super) struct WeightSums {
    values: AlignedVec<f32>,
    /// Values of half a panel.
    half_panel: usize,
}

impl WeightSums {
    /// Of a matrix in panels: its values, `panels` of them, each of `panel_values`, which are even
    /// numbers.
    pub(super) fn new(values: &[f32], panels: usize, panel_values: usize) -> Self {
        let half_panel = panel_values / 2;
        let mut sums = AlignedVec::zeros(2 * panels * half_panel);
        let (left, right) = values.split_at(panels / 2 * panel_values);
        let pairs = left
            .chunks_exact(panel_values)
            .zip(right.chunks_exact(panel_values));
        for (sums, (left, right)) in sums.chunks_exact_mut(4 * half_panel).zip(pairs) {
            let ((b11, b21), (b12, b22)) = (left.split_at(half_panel), right.split_at(half_panel));
            for at in 0..half_panel {
                let t1 = b12[at] - b11[at];
                let t2 = b22[at] - t1;
                sums[at] = t2;
                sums[half_panel + at] = t1;
                sums[2 * half_panel + at] = b22[at] - b12[at];
                sums[3 * half_panel + at] = b21[at] - t2;
            }
        }
        Self {
            values: sums,
            half_panel,
        }
    }

    /// The four sums of a pair of panels.
    pub(super) fn pair(&self, pair: usize) -> [*const f32; 4] {
        let size = 4 * self.half_panel;
        let sums = &self.values[pair * size..(pair + 1) * size];
        [0, 1, 2, 3].map(|sum| sums[sum * self.half_panel..].as_ptr())
    }
}

/// Rows that are added up: a pair of rows, one of each half of a matrix.
#[derive(Debug)]
pub(super) struct RowPair {
    pub(super) upper: *const f32,
    pub(super) lower: *const f32,
    /// Where `S2`, `S1`, `S4` and `S3` go, one after the other.
    pub(super) sums: *mut f32,
    /// Values of half a row.
    pub(super) half: usize,
}

/// Writes the four sums of a pair of rows.
///
/// # Safety
/// The CPU has the instructions of `S`; both rows have `2 * half` values, a multiple of two
/// registers, and `sums` has room for twice as many.
#[inline(always)]
pub(super) unsafe fn add_rows<S: Simd>(pair: &RowPair) {
    let half = pair.half;
    for at in (0..half).step_by(S::LANES) {
        // SAFETY: `at` is inside half a row.
        unsafe {
            let (a11, a12) = (
                S::load(pair.upper.add(at)),
                S::load(pair.upper.add(half + at)),
            );
            let (a21, a22) = (
                S::load(pair.lower.add(at)),
                S::load(pair.lower.add(half + at)),
            );
            let s1 = S::add(a21, a22);
            let s2 = S::sub(s1, a11);
            S::store(pair.sums.add(at), s2);
            S::store(pair.sums.add(half + at), s1);
            S::store(pair.sums.add(2 * half + at), S::sub(a12, s2));
            S::store(pair.sums.add(3 * half + at), S::sub(a11, a21));
        }
    }
}

/// A tile of the result as the sum of products.
#[derive(Debug)]
pub(super) struct SumOfTiles<'a> {
    pub(super) rows: usize,
    /// Of a panel.
    pub(super) columns: usize,
    /// Tiles of that width.
    pub(super) parts: &'a [*mut f32],
    /// One value for each column.
    pub(super) bias: *const f32,
    pub(super) c: *mut f32,
    pub(super) c_stride: usize,
    /// Whether `c` is added to instead of overwritten.
    pub(super) add: bool,
}

/// Writes a tile of the result.
///
/// # Safety
/// The CPU has the instructions of `S`; everything that `sum` points to is valid for its rows and
/// columns, and `c` is not read or written by anyone else meanwhile.
#[inline(always)]
pub(super) unsafe fn add_tiles<S: Simd>(sum: &SumOfTiles<'_>) {
    for row in 0..sum.rows {
        for column in (0..sum.columns).step_by(S::LANES) {
            // SAFETY: the place is inside all tiles.
            unsafe {
                let c = sum.c.add(row * sum.c_stride + column);
                let mut value = S::load(sum.bias.add(column));
                for part in sum.parts {
                    value = S::add(value, S::load(part.add(row * sum.columns + column)));
                }
                if sum.add {
                    value = S::add(value, S::load(c));
                }
                S::store(c, value);
            }
        }
    }
}

/// Three tiles between products and sums.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Between([[f32; TILE_VALUES]; 3]);

/// The largest tile there is: 14 rows of 32 columns, with AVX-512.
const TILE_VALUES: usize = 14 * 32;

impl Between {
    pub(super) fn new() -> Self {
        Self([[0.0; TILE_VALUES]; 3])
    }

    pub(super) fn tiles(&mut self) -> [*mut f32; 3] {
        self.0.each_mut().map(|tile| tile.as_mut_ptr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Activation, Kernels, PackedMatrix, Precision, Product, RowSums};

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        let number = |n: usize| ((n * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0;
        (0..count).map(number).collect()
    }

    /// A product of halves, the left matrix, the weights and what was there before.
    struct Case {
        kernels: &'static Kernels,
        rows: usize,
        depth: usize,
        columns: usize,
        add: bool,
        activation: Option<Activation>,
        a: Vec<f32>,
        weights: Vec<f32>,
        before: Vec<f32>,
    }

    impl Case {
        fn new(kernels: &'static Kernels, [rows, depth, columns]: [usize; 3]) -> Self {
            Self {
                kernels,
                rows,
                depth,
                columns,
                add: false,
                activation: None,
                a: numbers(rows * depth, 1),
                weights: numbers(depth * columns, 2),
                before: numbers(rows * columns, 3),
            }
        }

        fn bias(column: usize) -> f32 {
            column as f32 / 64.0 - 0.5
        }

        fn packed(&self) -> PackedMatrix {
            let mut packed =
                PackedMatrix::zeros(self.kernels, Precision::F32, self.depth, self.columns);
            for (at, weight) in self.weights.iter().enumerate() {
                packed.set(at / self.columns, at % self.columns, *weight);
            }
            for column in 0..self.columns {
                packed.set_bias(column, Self::bias(column));
            }
            packed.with_sums(self.kernels)
        }

        /// The product, by as many members as there are shares of panels.
        fn multiply(&self, shares: usize) -> Vec<f32> {
            let packed = self.packed();
            assert!(packed.sums().is_some());
            let panels = packed.panels() / 2;
            let mut c = self.before.clone();
            let stride = 2 * self.depth + 3;
            let mut sums = vec![f32::NAN; self.rows / 2 * stride];
            let sums = RowSums {
                values: sums.as_mut_ptr(),
                stride,
            };
            let product = Product {
                rows: self.rows,
                a: self.a.as_ptr(),
                a_stride: self.depth,
                c: c.as_mut_ptr(),
                c_stride: self.columns,
                add: self.add,
                activation: self.activation,
            };
            let share = |of: usize, share: usize| of * share / shares..of * (share + 1) / shares;
            // SAFETY: all buffers have the sizes that are named.
            unsafe {
                for member in 0..shares {
                    let pairs = share(self.rows / 2, member);
                    self.kernels
                        .add_row_pairs(&product, self.depth, &sums, pairs);
                }
                for member in 0..shares {
                    let panels = share(panels, member);
                    self.kernels
                        .multiply_halves(&product, &sums, &packed, panels);
                }
            }
            c
        }

        fn expected(&self, row: usize, column: usize) -> f64 {
            let product: f64 = (0..self.depth)
                .map(|step| {
                    let weight = self.weights[step * self.columns + column];
                    f64::from(self.a[row * self.depth + step]) * f64::from(weight)
                })
                .sum();
            let before = self.before[row * self.columns + column];
            let before = if self.add { f64::from(before) } else { 0.0 };
            let value = before + product + f64::from(Self::bias(column));
            match self.activation {
                Some(Activation::Relu) => value.max(0.0),
                _ => value,
            }
        }

        fn check(&self, shares: usize) {
            for (at, value) in self.multiply(shares).iter().enumerate() {
                let expected = self.expected(at / self.columns, at % self.columns);
                assert!(
                    (f64::from(*value) - expected).abs() < 1e-4,
                    "{}, {} rows, depth {}, {} columns, at {at}: {value}, not {expected}",
                    self.kernels.name,
                    self.rows,
                    self.depth,
                    self.columns,
                );
            }
        }
    }

    #[test]
    fn halves_give_the_product_however_many_rows_and_whoever_shares_it() {
        for kernels in Kernels::available() {
            let (depth, panel) = (2 * kernels.lanes, kernels.panel);
            for rows in [2, 3, 5, 28, 29, 57, 64, 85] {
                for (depth, columns) in [(depth, 2 * panel), (3 * depth, 4 * panel)] {
                    Case::new(kernels, [rows, depth, columns]).check(1);
                    Case::new(kernels, [rows, depth, columns]).check(2);
                }
            }
        }
    }

    #[test]
    fn halves_add_to_what_is_there_and_apply_the_activation_last() {
        for kernels in Kernels::available() {
            for (add, activation) in [
                (true, None),
                (false, Some(Activation::Relu)),
                (true, Some(Activation::Relu)),
            ] {
                let shape = [67, 4 * kernels.lanes, 4 * kernels.panel];
                let case = Case {
                    add,
                    activation,
                    ..Case::new(kernels, shape)
                };
                case.check(1);
                case.check(2);
            }
        }
    }

    #[test]
    fn a_matrix_that_cannot_be_halved_has_no_sums() {
        for kernels in Kernels::available() {
            let (lanes, panel) = (kernels.lanes, kernels.panel);
            for (depth, columns) in [
                (3 * lanes, 2 * panel),
                (2 * lanes, 3 * panel),
                (2 * lanes, 2 * panel - 1),
            ] {
                let packed = PackedMatrix::zeros(kernels, Precision::F32, depth, columns);
                assert!(packed.with_sums(kernels).sums().is_none());
            }
        }
    }

    #[test]
    fn a_tile_between_products_holds_the_largest_tile() {
        for kernels in Kernels::available() {
            assert!(kernels.tile_rows() * kernels.panel <= TILE_VALUES);
        }
    }
}
