//! The score of a pair of vectors, wherever it is given.

use siamese_kernels::Kernels;

/// How far a dot product in f32 of two vectors of length 1 may be from [`cosine`]: rounding of up to
/// 4 096 products in 16 sums, and lengths that are 1 up to 1e-6.
pub(super) const ROUNDING: f32 = 1e-5;
/// The cosine of two vectors of one length, -1 to 1; 0 when one of them is zero.
///
/// It is computed in f64 and rounded once, always in the same order and without fused operations: a
/// pair has the same score on every machine and in every place of the service, whichever comes first,
/// and a vector and itself have exactly 1.
#[must_use]
pub fn cosine(left: &[f32], right: &[f32]) -> f32 {
    Cosines::with(left).of(right)
}

/// The cosines of one vector with others; each is what [`cosine`] gives.
#[derive(Debug)]
pub(super) struct Cosines<'a> {
    kernels: &'static Kernels,
    vector: &'a [f32],
    /// The square of its length.
    square: f64,
}

impl<'a> Cosines<'a> {
    pub(super) fn with(vector: &'a [f32]) -> Self {
        let kernels = Kernels::detected();
        let (_, square) = kernels.dot_and_square(vector, vector);
        Self {
            kernels,
            vector,
            square,
        }
    }

    pub(super) fn of(&self, other: &[f32]) -> f32 {
        let (dot, square) = self.kernels.dot_and_square(self.vector, other);
        // The root of a square is the number itself, so that equals have 1.
        let lengths = (self.square * square).sqrt();
        if lengths > 0.0 {
            (dot / lengths).clamp(-1.0, 1.0) as f32
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::normalized;
    use super::*;

    #[test]
    fn opposites_have_minus_one_right_angles_and_nothing_have_zero() {
        assert_eq!(cosine(&[0.1, 0.7], &[-0.1, -0.7]), -1.0);
        assert_eq!(cosine(&[0.0, 0.7], &[0.3, 0.0]), 0.0);
        assert_eq!(cosine(&[0.0, 0.0], &[0.3, 0.0]), 0.0);
    }

    proptest! {
        #[test]
        fn equals_have_exactly_one_whatever_their_length(
            vector in prop::collection::vec(-1.0..1.0_f32, 1..1100)
        ) {
            prop_assume!(vector.iter().any(|value| *value != 0.0));
            prop_assert_eq!(cosine(&vector, &vector), 1.0);
            let unit = normalized(&vector);
            prop_assert_eq!(cosine(&unit, &unit), 1.0);
            prop_assert_eq!(cosine(&unit, &vector), 1.0);
        }

        #[test]
        fn a_pair_has_one_score_whichever_comes_first(
            rows in prop::collection::vec((-1.0..1.0_f32, -1.0..1.0_f32), 1..1100)
        ) {
            let (left, right): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            prop_assert_eq!(cosine(&left, &right), cosine(&right, &left));
        }

        #[test]
        fn products_in_f32_are_near(
            rows in prop::collection::vec((-1.0..1.0_f32, -1.0..1.0_f32), 2..4096)
        ) {
            let (left, right): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            prop_assume!(left.iter().chain(&right).all(|value| *value != 0.0));
            let (left, right) = (normalized(&left), normalized(&right));
            let near = Kernels::detected().dot(&left, &right);
            prop_assert!((near - cosine(&left, &right)).abs() < ROUNDING / 2.0);
        }
    }
}
