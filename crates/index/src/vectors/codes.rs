//! Vectors as one byte a value, for the walk over a graph.

use siamese_kernels::{MAX_CODE, rounded};

/// Writes the codes of a vector and returns its step: `value ≈ code * step`.
///
/// Each vector has a step of its own, its largest value over 127, so that one vector with a large
/// value does not make all others coarse.
pub(crate) fn encode(vector: &[f32], codes: &mut [i8]) -> f32 {
    let largest = vector
        .iter()
        .fold(0.0_f32, |most, value| most.max(value.abs()));
    let step = largest / f32::from(MAX_CODE);
    // Dividing by a step that is too small for f32 would give infinities.
    let inverse = if step > f32::MIN_POSITIVE {
        1.0 / step
    } else {
        0.0
    };
    for (code, value) in codes.iter_mut().zip(vector) {
        *code = rounded(value * inverse) as i8;
    }
    step
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_code_is_off_by_half_a_step_at_most(
            vector in prop::collection::vec(-1.0..1.0_f32, 1..100)
        ) {
            let mut codes = vec![0; vector.len()];
            let step = encode(&vector, &mut codes);
            for (value, code) in vector.iter().zip(&codes) {
                prop_assert!((-MAX_CODE..=MAX_CODE).contains(code));
                prop_assert!((value - f32::from(*code) * step).abs() <= step * 0.5001);
            }
        }
    }

    #[test]
    fn a_vector_of_tiny_values_has_codes() {
        let mut codes = [1; 3];
        assert!(encode(&[1e-45, 0.0, 0.0], &mut codes).is_finite());
        assert_eq!(codes, [0; 3]);
    }
}
