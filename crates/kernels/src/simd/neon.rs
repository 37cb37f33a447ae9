//! NEON: 4 lanes, 32 registers. Every aarch64 CPU has it.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "every block relies on the trait's contract: pointers are valid"
)]

use std::arch::aarch64::*;

use super::Simd;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Neon;

impl Simd for Neon {
    type Vector = float32x4_t;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: float32x4_t) {
        unsafe { vst1q_f32(to, value) }
    }

    #[inline(always)]
    unsafe fn add(left: float32x4_t, right: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(left, right) }
    }

    #[inline(always)]
    unsafe fn sub(left: float32x4_t, right: float32x4_t) -> float32x4_t {
        unsafe { vsubq_f32(left, right) }
    }

    #[inline(always)]
    unsafe fn mul(left: float32x4_t, right: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(left, right) }
    }

    #[inline(always)]
    unsafe fn div(left: float32x4_t, right: float32x4_t) -> float32x4_t {
        unsafe { vdivq_f32(left, right) }
    }

    #[inline(always)]
    unsafe fn max(left: float32x4_t, right: float32x4_t) -> float32x4_t {
        unsafe { vmaxq_f32(left, right) }
    }

    #[inline(always)]
    unsafe fn min(left: float32x4_t, right: float32x4_t) -> float32x4_t {
        unsafe { vminq_f32(left, right) }
    }

    #[inline(always)]
    unsafe fn mul_add(left: float32x4_t, right: float32x4_t, addend: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(addend, left, right) }
    }

    #[inline(always)]
    unsafe fn power_of_two(exponent: float32x4_t) -> float32x4_t {
        unsafe {
            let biased = vaddq_s32(vcvtq_s32_f32(exponent), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(biased))
        }
    }

    #[inline(always)]
    unsafe fn round(value: float32x4_t) -> float32x4_t {
        unsafe { vrndnq_f32(value) }
    }

    #[inline(always)]
    unsafe fn sum(value: float32x4_t) -> f32 {
        unsafe { vaddvq_f32(value) }
    }

    #[inline(always)]
    unsafe fn largest(value: float32x4_t) -> f32 {
        unsafe { vmaxvq_f32(value) }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> float32x4_t {
        unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from))) }
    }
}
