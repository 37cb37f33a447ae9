//! What is done to values before they become codes.

/// Multiplies by the Hadamard matrix of entries 1 and -1, in the order of Sylvester (the fast Walsh-Hadamard
/// transform). The number of values is a power of two.
#[inline]
pub fn hadamard(values: &mut [f32]) {
    debug_assert!(values.len().is_power_of_two());
    let mut distance = 1;
    while distance < values.len() {
        for pair in values.chunks_exact_mut(2 * distance) {
            let (left, right) = pair.split_at_mut(distance);
            for (left, right) in left.iter_mut().zip(right) {
                (*left, *right) = (*left + *right, *left - *right);
            }
        }
        distance *= 2;
    }
}

/// A code's whole number; a half goes to the even neighbour. For what is far below 2^23, as codes are, and much
/// quicker than `round_ties_even`, which is a call of a function on CPUs as old as those that we build for.
#[inline]
#[must_use]
pub fn rounded(value: f32) -> f32 {
    /// Next to it, numbers of f32 are a whole apart.
    const WHOLE: f32 = 1.5 * (1 << 23) as f32;
    (value + WHOLE) - WHOLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_rounded_as_the_standard_library_does() {
        let thirds = (-100_000..=100_000).map(|third| third as f32 / 3.0);
        let halves = (-70_000..=70_000).map(|half| half as f32 / 2.0);
        let tiny = [0.0, 0.5_f32.next_down(), 0.5, 0.5_f32.next_up(), 1e-30];
        for value in thirds.chain(halves).chain(tiny) {
            assert_eq!(rounded(value), value.round_ties_even(), "{value}");
        }
        assert!(rounded(f32::NAN).is_nan());
        assert_eq!(rounded(f32::INFINITY), f32::INFINITY);
    }
}
