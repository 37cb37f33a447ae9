//! bfloat16: the upper half of an f32.

/// The nearest bfloat16, ties to even; not-a-number stays so.
pub(super) fn to_bf16(value: f32) -> u16 {
    if value.is_nan() {
        return 0x7fc0;
    }
    let bits = value.to_bits();
    let round = 0x7fff + (bits >> 16 & 1);
    (bits.wrapping_add(round) >> 16) as u16
}
