//! The score of a pair of vectors, wherever it is given.

/// How far a dot product in f32 of two vectors of length 1 may be from [`cosine`]: rounding of up to
/// 4 096 products in 16 sums, and lengths that are 1 up to 1e-6.
pub(super) const ROUNDING: f32 = 1e-5;
/// Partial sums kept side by side, so that the compiler can use vector registers.
const LANES: usize = 8;

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
    vector: &'a [f32],
    /// The square of its length.
    square: f64,
}

impl<'a> Cosines<'a> {
    pub(super) fn with(vector: &'a [f32]) -> Self {
        Self {
            vector,
            square: square(vector),
        }
    }

    pub(super) fn of(&self, other: &[f32]) -> f32 {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has AVX2.
            return unsafe { self.of_avx2(other) };
        }
        self.of_portable(other)
    }

    /// The same operations on wider registers.
    ///
    /// # Safety
    /// The CPU must have AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn of_avx2(&self, other: &[f32]) -> f32 {
        self.of_portable(other)
    }

    #[inline(always)]
    fn of_portable(&self, other: &[f32]) -> f32 {
        let (mut dot, mut square) = ([0.0; LANES], [0.0; LANES]);
        let mut add = |lane: usize, own: f32, other: f32| {
            let (own, other) = (f64::from(own), f64::from(other));
            dot[lane] += own * other;
            square[lane] += other * other;
        };
        let (own_chunks, own_rest) = self.vector.as_chunks::<LANES>();
        let (other_chunks, other_rest) = other.as_chunks::<LANES>();
        for (own, other) in own_chunks.iter().zip(other_chunks) {
            for lane in 0..LANES {
                add(lane, own[lane], other[lane]);
            }
        }
        for (lane, (own, other)) in own_rest.iter().zip(other_rest).enumerate() {
            add(lane, *own, *other);
        }
        // The root of a square is the number itself, so that equals have 1.
        let lengths = (self.square * total(square)).sqrt();
        if lengths > 0.0 {
            (total(dot) / lengths).clamp(-1.0, 1.0) as f32
        } else {
            0.0
        }
    }
}

/// Summed in the order of [`Cosines::of`].
fn square(vector: &[f32]) -> f64 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = vector.as_chunks::<LANES>();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += f64::from(*value) * f64::from(*value);
    }
    total(sums)
}

fn total(sums: [f64; LANES]) -> f64 {
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::kernels::Kernels;
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
        fn a_pair_has_one_score_whichever_comes_first_and_whatever_the_cpu(
            rows in prop::collection::vec((-1.0..1.0_f32, -1.0..1.0_f32), 1..1100)
        ) {
            let (left, right): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            let score = cosine(&left, &right);
            prop_assert_eq!(score, cosine(&right, &left));
            prop_assert_eq!(score, Cosines::with(&left).of_portable(&right));
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
