//! Products of pairs of 16-bit numbers, for the CPUs that have them.
//!
//! Each lane multiplies two pairs and adds both products to a 32-bit sum: one instruction with
//! AVX-512 VNNI, two without.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "every block relies on the trait's contract: the CPU has the instructions, pointers are valid"
)]

use std::arch::asm;
use std::arch::x86_64::*;

use crate::simd::{Avx2, Avx512, Simd};

/// A register of 32-bit sums, or of as many pairs of 16-bit numbers.
///
/// # Safety
/// As [`Simd`].
pub(super) trait Pairs: Copy {
    type Register: Copy;
    /// What sums become.
    type Float: Simd;

    unsafe fn zero() -> Self::Register;
    unsafe fn load(from: *const u8) -> Self::Register;
    /// The pair at `from` in every lane.
    unsafe fn splat(from: *const u8) -> Self::Register;
    /// `sum + left[0] * right[0] + left[1] * right[1]` in each lane.
    unsafe fn dot(
        sum: Self::Register,
        left: Self::Register,
        right: Self::Register,
    ) -> Self::Register;
    unsafe fn to_float(sum: Self::Register) -> <Self::Float as Simd>::Vector;
    /// Stores the nearest whole numbers, which fit 16 bits, one after the other.
    unsafe fn store_rounded(to: *mut u8, value: <Self::Float as Simd>::Vector);
}

/// AVX-512 with VNNI.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512Vnni;

/// AVX-512 without.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512Madd;

/// AVX2.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2Madd;

impl Pairs for Avx512Vnni {
    type Register = __m512i;
    type Float = Avx512;

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        unsafe { Avx512Madd::zero() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        unsafe { Avx512Madd::load(from) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> __m512i {
        unsafe { Avx512Madd::splat(from) }
    }

    #[inline(always)]
    unsafe fn dot(sum: __m512i, left: __m512i, right: __m512i) -> __m512i {
        unsafe { dpwssd(sum, left, right) }
    }

    #[inline(always)]
    unsafe fn to_float(sum: __m512i) -> __m512 {
        unsafe { Avx512Madd::to_float(sum) }
    }

    #[inline(always)]
    unsafe fn store_rounded(to: *mut u8, value: __m512) {
        unsafe { Avx512Madd::store_rounded(to, value) }
    }
}

/// `vpdpwssd`. Not the intrinsic: LLVM turns that into the two instructions of [`Avx512Madd`] for
/// the sake of latency, which tiles do not wait for.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn dpwssd(mut sum: __m512i, left: __m512i, right: __m512i) -> __m512i {
    unsafe {
        asm!(
            "vpdpwssd {sum}, {left}, {right}",
            sum = inout(zmm_reg) sum,
            left = in(zmm_reg) left,
            right = in(zmm_reg) right,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

impl Pairs for Avx512Madd {
    type Register = __m512i;
    type Float = Avx512;

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> __m512i {
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn dot(sum: __m512i, left: __m512i, right: __m512i) -> __m512i {
        unsafe { _mm512_add_epi32(sum, _mm512_madd_epi16(left, right)) }
    }

    #[inline(always)]
    unsafe fn to_float(sum: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(sum) }
    }

    #[inline(always)]
    unsafe fn store_rounded(to: *mut u8, value: __m512) {
        unsafe {
            let codes = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(value));
            _mm256_storeu_si256(to.cast(), codes);
        }
    }
}

impl Pairs for Avx2Madd {
    type Register = __m256i;
    type Float = Avx2;

    #[inline(always)]
    unsafe fn zero() -> __m256i {
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m256i {
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> __m256i {
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn dot(sum: __m256i, left: __m256i, right: __m256i) -> __m256i {
        unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(left, right)) }
    }

    #[inline(always)]
    unsafe fn to_float(sum: __m256i) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(sum) }
    }

    #[inline(always)]
    unsafe fn store_rounded(to: *mut u8, value: __m256) {
        unsafe {
            let codes = _mm256_cvtps_epi32(value);
            let (low, high) = (
                _mm256_castsi256_si128(codes),
                _mm256_extracti128_si256::<1>(codes),
            );
            _mm_storeu_si128(to.cast(), _mm_packs_epi32(low, high));
        }
    }
}
