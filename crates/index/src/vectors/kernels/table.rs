//! The table of kernels, one for each instruction set, and the choice at run time.

use std::sync::OnceLock;

use super::portable;

/// Codes lie in `-MAX_CODE..=MAX_CODE`; -128 is left out, because the AVX2 kernel negates codes.
pub(crate) const MAX_CODE: i8 = 127;

/// Kernels for one instruction set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernels {
    pub(crate) name: &'static str,
    dot: unsafe fn(&[f32], &[f32]) -> f32,
    dot_codes: unsafe fn(&[i8], &[i8]) -> i32,
}

impl Kernels {
    /// The fastest this CPU can run.
    pub(crate) fn detected() -> Self {
        static DETECTED: OnceLock<Kernels> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            let kernels = Self::available()[0];
            tracing::debug!(kernels = kernels.name, "arithmetic on vectors");
            kernels
        })
    }

    /// All that this CPU can run, the fastest first.
    fn available() -> Vec<Self> {
        let mut kernels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        kernels.extend(x86_64());
        #[cfg(target_arch = "aarch64")]
        kernels.extend(aarch64());
        kernels.push(Self {
            name: "portable",
            dot: |left, right| portable::dot(left, right),
            dot_codes: |left, right| portable::dot_codes(left, right),
        });
        kernels
    }

    /// The dot product of two vectors of one length; the longer one's end is left out.
    #[inline(always)]
    pub(crate) fn dot(self, left: &[f32], right: &[f32]) -> f32 {
        let length = left.len().min(right.len());
        // SAFETY: a table is made only where its instructions are; the lengths are equal.
        unsafe { (self.dot)(&left[..length], &right[..length]) }
    }

    /// The dot product of two rows of codes of one length; the longer one's end is left out.
    #[inline(always)]
    pub(crate) fn dot_codes(self, left: &[i8], right: &[i8]) -> i32 {
        let length = left.len().min(right.len());
        // SAFETY: a table is made only where its instructions are; the lengths are equal.
        unsafe { (self.dot_codes)(&left[..length], &right[..length]) }
    }
}

#[cfg(target_arch = "x86_64")]
fn x86_64() -> Vec<Kernels> {
    use super::{avx2, avx512};
    let mut kernels = Vec::new();
    let has_avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
    if has_avx512 && is_x86_feature_detected!("avx512vnni") {
        kernels.push(Kernels {
            name: "avx512vnni",
            dot: avx512::dot,
            dot_codes: avx512::dot_codes,
        });
    }
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        kernels.push(Kernels {
            name: "avx2",
            dot: avx2::dot,
            dot_codes: avx2::dot_codes,
        });
    }
    kernels
}

#[cfg(target_arch = "aarch64")]
fn aarch64() -> Option<Kernels> {
    std::arch::is_aarch64_feature_detected!("neon").then_some(Kernels {
        name: "neon",
        dot: super::neon::dot,
        dot_codes: super::neon::dot_codes,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
    }
}
