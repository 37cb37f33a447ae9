//! Vectors as two bytes a value, for segments that do not hold the vectors themselves.
//!
//! The first byte is the code that walks go by ([`codes`](super::codes)), the second is a code of what that one leaves
//! out. Together they are never off by more than a known length, so a score that is made of them has a bound. What they
//! are of is written once: segments that are merged copy them.

use std::borrow::Cow;

use siamese_kernels::Kernels;

use super::code_matrix::LINE_BYTES;
use super::codes::encode;
use super::cosine::ROUNDING;

/// Levels of a query's codes. With three, what they leave out is less than a hundredth of what a row's two do.
const QUERY_LEVELS: usize = 3;

/// A norm in f64 that becomes an f32 must not become smaller.
const ROUNDING_UP: f64 = 1.0 + 1e-6;

/// What belongs to the second code of a vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FineHead {
    /// What a code of 1 stands for.
    step: f32,
    /// Length of what both codes leave out of the vector: exactly, or a little more.
    error: f32,
}

impl FineHead {
    pub(crate) fn of([step, error]: [f32; 2]) -> Self {
        Self { step, error }
    }

    pub(crate) fn values(self) -> [f32; 2] {
        [self.step, self.error]
    }
}

/// A vector in two codes: `value ≈ coarse * step + fine * head.step`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TwoLevel<'a> {
    pub(crate) coarse: &'a [i8],
    pub(crate) step: f32,
    pub(crate) fine: &'a [i8],
    pub(crate) head: FineHead,
}

/// Writes what a vector's codes leave out as codes of their own.
///
/// A code is off by half its step at most, and the step is the largest value `M` over 127. What is left is coded in steps
/// of at most `M / (2 * 127 * 127)`, of which again half is left: `M / 64 516` of each value, so `sqrt(d) * M / 64 516` as
/// a length. With 384 dimensions that is `3.04e-4 * M`, and less than 9e-5 where no value of the vector is above 0.29. What
/// it is for a vector is computed and kept beside its codes, so nothing depends on what vectors are like.
pub(crate) fn encode_fine(vector: &[f32], coarse: &[i8], step: f32, fine: &mut [i8]) -> FineHead {
    let values = vector.iter().zip(coarse);
    let rest: Vec<f32> = values
        .map(|(value, code)| value - f32::from(*code) * step)
        .collect();
    let fine_step = encode(&rest, fine);
    let codes = coarse.iter().zip(fine.iter());
    let square: f64 = vector
        .iter()
        .zip(codes)
        .map(|(value, (coarse, fine))| {
            let coarse = f64::from(*coarse) * f64::from(step);
            let fine = f64::from(*fine) * f64::from(fine_step);
            (f64::from(*value) - (coarse + fine)).powi(2)
        })
        .sum();
    FineHead {
        step: fine_step,
        error: (square.sqrt() * ROUNDING_UP) as f32,
    }
}

impl TwoLevel<'_> {
    /// The vector, about.
    pub(crate) fn decoded(&self, dimensions: usize) -> Vec<f32> {
        let codes = self.coarse.iter().zip(self.fine).take(dimensions);
        codes
            .map(|(coarse, fine)| {
                f32::from(*coarse) * self.step + f32::from(*fine) * self.head.step
            })
            .collect()
    }

    /// Returns whether a vector has these codes.
    pub(crate) fn is_of(&self, vector: &[f32]) -> bool {
        let mut codes = [(); 2].map(|()| vec![0; self.coarse.len()]);
        let [coarse, fine] = &mut codes;
        let step = encode(vector, coarse);
        let head = encode_fine(vector, coarse, step, fine);
        let [coarse, fine] = &codes;
        *self
            == TwoLevel {
                coarse,
                step,
                fine,
                head,
            }
    }
}

/// The values of a vector that somebody else holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values<'a> {
    /// As they were given, scaled to length 1.
    Exact(&'a [f32]),
    /// The vector itself is in the record.
    Coded(TwoLevel<'a>),
}

impl<'a> Values<'a> {
    /// The vector where it is at hand, or else about the vector.
    pub(crate) fn about(&self, dimensions: usize) -> Cow<'a, [f32]> {
        match self {
            Self::Exact(vector) => Cow::Borrowed(vector),
            Self::Coded(codes) => Cow::Owned(codes.decoded(dimensions)),
        }
    }
}

/// Both codes of all rows of a segment, each row as long as a query's codes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TwoLevelMatrix<'a> {
    pub(crate) coarse: &'a [i8],
    pub(crate) fine: &'a [i8],
}

/// A query's codes, each of what those before leave out.
#[derive(Debug)]
pub(crate) struct TwoLevelQuery {
    kernels: &'static Kernels,
    levels: [(Vec<i8>, f32); QUERY_LEVELS],
    /// Length of what all of them leave out.
    error: f32,
}

/// What a row's score is, about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) score: f32,
    /// How far the cosine may be from it at most.
    pub(crate) error: f32,
}

/// Memory for the dot products of a query's levels with both codes of some rows.
#[derive(Debug, Default)]
pub(crate) struct LevelDots([[Vec<i32>; 2]; QUERY_LEVELS]);

impl TwoLevelQuery {
    /// Codes of a query of length 1.
    pub(crate) fn new(query: &[f32]) -> Self {
        let stride = query.len().next_multiple_of(LINE_BYTES);
        let mut rest: Vec<f64> = query.iter().map(|value| f64::from(*value)).collect();
        let levels = [(); QUERY_LEVELS].map(|()| {
            let values: Vec<f32> = rest.iter().map(|value| *value as f32).collect();
            let mut codes = vec![0; stride];
            let step = encode(&values, &mut codes);
            for (rest, code) in rest.iter_mut().zip(&codes) {
                *rest -= f64::from(*code) * f64::from(step);
            }
            (codes, step)
        });
        let left_out = rest.iter().map(|rest| rest * rest).sum::<f64>().sqrt();
        Self {
            kernels: Kernels::detected(),
            levels,
            error: (left_out * ROUNDING_UP) as f32,
        }
    }

    /// Multiplies the query with some rows, for [`Self::estimate`].
    pub(crate) fn multiply(&self, matrix: &TwoLevelMatrix<'_>, rows: &[u32], dots: &mut LevelDots) {
        for ((codes, _), dots) in self.levels.iter().zip(&mut dots.0) {
            for (matrix, dots) in [matrix.coarse, matrix.fine].iter().zip(dots) {
                dots.resize(rows.len(), 0);
                self.kernels.dot_code_rows(codes, matrix, rows, dots);
            }
        }
    }

    /// The score of the row at a place of those that were multiplied. `step` is that of its first codes.
    ///
    /// With `q` and `v` of length 1 and `q'` and `v'` as the codes have them, `q v - q' v' = q (v - v') + (q - q') v'`,
    /// which is at most `|v - v'| + |q - q'| |v'|`, and `|v'|` is at most `1 + |v - v'|`. Products of codes are whole
    /// numbers and added in f64. Lengths that are 1 up to 1e-6, and the rounding of a cosine, are within [`ROUNDING`].
    #[inline]
    pub(crate) fn estimate(
        &self,
        dots: &LevelDots,
        place: usize,
        step: f32,
        head: FineHead,
    ) -> Estimate {
        let levels = self.levels.iter().zip(&dots.0);
        let score: f64 = levels
            .map(|((_, query_step), [coarse, fine])| {
                let coarse = f64::from(coarse[place]) * f64::from(step);
                let fine = f64::from(fine[place]) * f64::from(head.step);
                f64::from(*query_step) * (coarse + fine)
            })
            .sum();
        Estimate {
            score: score as f32,
            error: head.error + self.error * (1.0 + head.error) + ROUNDING,
        }
    }
}

impl Estimate {
    /// The most that the cosine may be.
    pub(crate) fn upper(&self) -> f32 {
        self.score + self.error
    }

    /// The least that the cosine may be.
    pub(crate) fn lower(&self) -> f32 {
        self.score - self.error
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{cosine, normalized};
    use super::*;

    struct Coded {
        coarse: Vec<i8>,
        step: f32,
        fine: Vec<i8>,
        head: FineHead,
    }

    fn coded(vector: &[f32]) -> Coded {
        let stride = vector.len().next_multiple_of(LINE_BYTES);
        let (mut coarse, mut fine) = (vec![0; stride], vec![0; stride]);
        let step = encode(vector, &mut coarse);
        let head = encode_fine(vector, &coarse, step, &mut fine);
        Coded {
            coarse,
            step,
            fine,
            head,
        }
    }

    fn estimate(query: &[f32], row: &Coded) -> Estimate {
        let query = TwoLevelQuery::new(query);
        let mut dots = LevelDots::default();
        let matrix = TwoLevelMatrix {
            coarse: &row.coarse,
            fine: &row.fine,
        };
        query.multiply(&matrix, &[0], &mut dots);
        query.estimate(&dots, 0, row.step, row.head)
    }

    fn pairs(length: std::ops::Range<usize>) -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        // Sharp peaks now and then, of which all other values get coarse steps.
        let value = || prop_oneof![20 => -1.0..1.0_f32, 1 => -30.0..30.0_f32];
        let rows = prop::collection::vec((value(), value()), length);
        let rows = rows.prop_map(|rows| rows.into_iter().unzip());
        rows.prop_filter("not zero", |(left, right): &(Vec<f32>, Vec<f32>)| {
            [left, right]
                .iter()
                .all(|row| row.iter().any(|value| value.abs() > 1e-3))
        })
    }

    proptest! {
        #[test]
        fn a_score_is_within_its_bound((query, vector) in pairs(1..1100)) {
            let (query, vector) = (normalized(&query), normalized(&vector));
            let row = coded(&vector);
            let found = estimate(&query, &row);
            let exact = cosine(&query, &vector);
            prop_assert!(found.lower() <= exact && exact <= found.upper(), "{exact}: {found:?}");
            let largest = vector.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let length = (vector.len() as f32).sqrt() * largest / 64_516.0;
            prop_assert!(row.head.error <= length * 1.01 + 1e-7, "{length}: {}", row.head.error);
        }

        #[test]
        fn a_score_without_peaks_is_off_by_less_than_a_ten_thousandth(
            rows in prop::collection::vec((-1.0..1.0_f32, -1.0..1.0_f32), 64..1100)
        ) {
            let (query, vector): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            let (query, vector) = (normalized(&query), normalized(&vector));
            let found = estimate(&query, &coded(&vector));
            prop_assert!(found.error < 1e-4, "{found:?}");
            prop_assert!((found.score - cosine(&query, &vector)).abs() < 1e-4);
        }
    }

    #[test]
    fn codes_say_what_they_are_of() {
        let vector = normalized(&[0.3, -0.7, 0.01, 0.5]);
        let row = coded(&vector);
        let codes = TwoLevel {
            coarse: &row.coarse,
            step: row.step,
            fine: &row.fine,
            head: row.head,
        };
        assert!(codes.is_of(&vector));
        let decoded = codes.decoded(4);
        let far = decoded.iter().zip(&vector).map(|(a, b)| (a - b).abs());
        assert!(far.fold(0.0, f32::max) < 2e-5);
        assert!(!codes.is_of(&normalized(&[0.3, -0.7, 0.02, 0.5])));
    }

    #[test]
    fn values_that_are_too_small_for_codes_are_left_out_and_counted() {
        let row = coded(&[1e-40, 0.0]);
        assert!(row.head.error.is_finite());
        let found = estimate(&[1.0, 0.0], &row);
        assert!(found.lower() <= 0.0 && found.upper() >= 0.0);
    }
}
