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
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has AVX2.
        return unsafe { cosine_avx2(left, right) };
    }
    cosine_portable(left, right)
}

/// The same operations on wider registers.
///
/// # Safety
/// The CPU must have AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn cosine_avx2(left: &[f32], right: &[f32]) -> f32 {
    cosine_portable(left, right)
}

#[inline(always)]
fn cosine_portable(left: &[f32], right: &[f32]) -> f32 {
    let (mut dot, mut lefts, mut rights) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let mut add = |lane: usize, left: f32, right: f32| {
        let (left, right) = (f64::from(left), f64::from(right));
        dot[lane] += left * right;
        lefts[lane] += left * left;
        rights[lane] += right * right;
    };
    let (left_chunks, left_rest) = left.as_chunks::<LANES>();
    let (right_chunks, right_rest) = right.as_chunks::<LANES>();
    for (a, b) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..LANES {
            add(lane, a[lane], b[lane]);
        }
    }
    for (lane, (a, b)) in left_rest.iter().zip(right_rest).enumerate() {
        add(lane, *a, *b);
    }
    let total = |sums: [f64; LANES]| sums.iter().sum::<f64>();
    // The root of a square is the number itself, so that equals have 1.
    let lengths = (total(lefts) * total(rights)).sqrt();
    if lengths > 0.0 {
        (total(dot) / lengths).clamp(-1.0, 1.0) as f32
    } else {
        0.0
    }
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
            prop_assert_eq!(score, cosine_portable(&left, &right));
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
