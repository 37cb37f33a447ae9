//! Dot products of vectors, of codes, and what a cosine is made of.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod exact;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod portable;

/// Codes lie in `-MAX_CODE..=MAX_CODE`; -128 is left out, because the AVX2 kernel negates codes.
pub const MAX_CODE: i8 = 127;

/// The functions for one instruction set; both sides have one length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DotKernels {
    pub(crate) dot: unsafe fn(&[f32], &[f32]) -> f32,
    pub(crate) dot_codes: unsafe fn(&[i8], &[i8]) -> i32,
    pub(crate) dot_and_square: unsafe fn(&[f32], &[f32]) -> (f64, f64),
    pub(crate) dot_code_rows: unsafe fn(&CodeRows<'_>, &[u32], &mut [i32]),
    pub(crate) sums_where_set: unsafe fn(&[i8], &BitRows<'_>, &[u32], &mut [i32]),
}

/// Codes go with bits so many at a time.
pub const BITS_TOGETHER: usize = 64;

/// A matrix of bits, a row of them in each row of bytes.
#[derive(Debug, Clone, Copy)]
pub struct BitRows<'a> {
    /// All rows.
    pub bytes: &'a [u8],
    /// From one row to the next, bytes.
    pub stride: usize,
    /// Bytes of a row before its bits, the lowest of each byte first.
    pub start: usize,
}

impl<'a> BitRows<'a> {
    /// The bits that belong to so many codes.
    fn row(&self, row: u32, codes: usize) -> &'a [u8] {
        let start = row as usize * self.stride + self.start;
        &self.bytes[start..][..codes / 8]
    }
}

/// One row of codes, and a matrix of others of its length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CodeRows<'a> {
    pub(crate) query: &'a [i8],
    /// One row behind the other.
    pub(crate) matrix: &'a [i8],
}

impl<'a> CodeRows<'a> {
    pub(crate) fn row(&self, row: u32) -> &'a [i8] {
        let width = self.query.len();
        &self.matrix[row as usize * width..][..width]
    }

    /// Dot products of the query with some rows, by what makes one of them.
    #[inline(always)]
    fn each(&self, rows: &[u32], out: &mut [i32], dot: impl Fn(&[i8], &[i8]) -> i32) {
        for (row, out) in rows.iter().zip(out) {
            *out = dot(self.query, self.row(*row));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BITS_TOGETHER, BitRows, MAX_CODE, exact, portable};
    use crate::Kernels;

    fn dot_in_f64(left: &[f32], right: &[f32]) -> f64 {
        let pairs = left.iter().zip(right);
        pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    #[test]
    fn the_extremes_of_codes_do_not_overflow_at_any_length() {
        for length in 0..600 {
            let (high, low) = (vec![MAX_CODE; length], vec![-MAX_CODE; length]);
            let expected = length as i32 * 127 * 127;
            for kernels in Kernels::available() {
                let name = kernels.name;
                assert_eq!(kernels.dot_codes(&high, &high), expected, "{name} {length}");
                assert_eq!(kernels.dot_codes(&low, &low), expected, "{name} {length}");
                assert_eq!(kernels.dot_codes(&high, &low), -expected, "{name} {length}");
            }
        }
    }

    proptest! {
        #[test]
        fn all_kernels_agree_on_codes(
            rows in prop::collection::vec((-127..=127_i8, -127..=127_i8), 0..1100)
        ) {
            let (left, right): (Vec<i8>, Vec<i8>) = rows.into_iter().unzip();
            let expected = portable::dot_codes(&left, &right);
            for kernels in Kernels::available() {
                prop_assert_eq!(kernels.dot_codes(&left, &right), expected, "{}", kernels.name);
            }
        }

        #[test]
        fn rows_that_are_handled_together_have_the_products_that_each_has_alone(
            width in 1..200_usize,
            numbers in prop::collection::vec(0..9_u32, 0..20),
            codes in prop::collection::vec(-127..=127_i8, 10 * 200)
        ) {
            let (query, matrix) = codes[..10 * width].split_at(width);
            let alone = |row: &u32| portable::dot_codes(query, &matrix[*row as usize * width..][..width]);
            let expected: Vec<i32> = numbers.iter().map(alone).collect();
            for kernels in Kernels::available() {
                let mut found = vec![0; numbers.len()];
                kernels.dot_code_rows(query, matrix, &numbers, &mut found);
                prop_assert_eq!(&found, &expected, "{}", kernels.name);
            }
        }

        #[test]
        fn all_kernels_add_up_the_same_codes_where_bits_are_set(
            chunks in 1..8_usize,
            start in 0..20_usize,
            numbers in prop::collection::vec(0..9_u32, 0..20),
            codes in prop::collection::vec(-127..=127_i8, 8 * BITS_TOGETHER),
            bytes in prop::collection::vec(any::<u8>(), 9 * (20 + 8 * BITS_TOGETHER / 8))
        ) {
            let codes = &codes[..chunks * BITS_TOGETHER];
            let bits = BitRows { bytes: &bytes, stride: start + codes.len() / 8, start };
            let sum = |row: &u32| -> i32 {
                let row = &bytes[*row as usize * bits.stride + start..];
                let is_set = |place: usize| row[place / 8] >> (place % 8) & 1 == 1;
                let set = codes.iter().enumerate().filter(|(place, _)| is_set(*place));
                set.map(|(_, code)| i32::from(*code)).sum()
            };
            let expected: Vec<i32> = numbers.iter().map(sum).collect();
            for kernels in Kernels::available() {
                let mut found = vec![0; numbers.len()];
                kernels.sums_where_set(codes, &bits, &numbers, &mut found);
                prop_assert_eq!(&found, &expected, "{}", kernels.name);
            }
        }

        #[test]
        fn all_kernels_agree_on_values_up_to_rounding(
            rows in prop::collection::vec((-1.0..1.0_f32, -1.0..1.0_f32), 0..1100)
        ) {
            let (left, right): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            let expected = dot_in_f64(&left, &right);
            for kernels in Kernels::available() {
                let found = f64::from(kernels.dot(&left, &right));
                prop_assert!((found - expected).abs() < 1e-4, "{} {found} {expected}", kernels.name);
            }
        }

        #[test]
        fn exact_sums_are_the_same_whatever_the_cpu(
            rows in prop::collection::vec((-1.0..1.0_f32, -1.0..1.0_f32), 1..1100)
        ) {
            let (left, right): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            let expected = exact::dot_and_square(&left, &right);
            for kernels in Kernels::available() {
                prop_assert_eq!(kernels.dot_and_square(&left, &right), expected);
            }
        }
    }
}
