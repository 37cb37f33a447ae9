//! Powers of e, several at a time.

use std::f32::consts::LOG2_E;

/// `e^value` for values of 0 and less, without branches, so that several are computed at a time: the power of 2 with
/// the nearest whole exponent, times a Taylor polynomial of what is left, to 6e-6 of the result where that is
/// tiny, and better where it is not.
#[inline]
pub(super) fn power_of_e(value: f32) -> f32 {
    // Less has no exponent in f32.
    let exponent = (value * LOG2_E).max(-126.0);
    // Adding this puts the nearest whole number into the last bits.
    const SHIFT: f32 = 12_582_912.0;
    let shifted = exponent + SHIFT;
    let whole = shifted - SHIFT;
    let rest = (exponent - whole) * std::f32::consts::LN_2;
    let polynomial = 1.0
        + rest
            * (1.0
                + rest
                    * (0.5
                        + rest
                            * (1.0 / 6.0
                                + rest * (1.0 / 24.0 + rest * (1.0 / 120.0 + rest / 720.0)))));
    let bits = shifted.to_bits().wrapping_sub(SHIFT.to_bits());
    polynomial * f32::from_bits(bits.wrapping_add(127) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_the_librarys() {
        for step in 0..20_000 {
            let value = -(step as f32) * 0.004;
            let (ours, theirs) = (power_of_e(value), value.exp());
            assert!(
                (ours - theirs).abs() <= 6e-6 * theirs,
                "{value}: {ours}, {theirs}"
            );
        }
        assert!(power_of_e(-1e9) < 1e-37);
    }
}
