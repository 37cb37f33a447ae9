//! Plain Rust for every other CPU; the compiler may use what instructions its target has.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "every block relies on the trait's contract: pointers are valid"
)]

use std::array::from_fn;

use super::Simd;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

const LANES: usize = 4;

impl Simd for Portable {
    type Vector = [f32; LANES];
    const LANES: usize = LANES;

    #[inline(always)]
    unsafe fn splat(value: f32) -> [f32; LANES] {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; LANES] {
        unsafe { from.cast::<[f32; LANES]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: [f32; LANES]) {
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn add(left: [f32; LANES], right: [f32; LANES]) -> [f32; LANES] {
        from_fn(|lane| left[lane] + right[lane])
    }

    #[inline(always)]
    unsafe fn sub(left: [f32; LANES], right: [f32; LANES]) -> [f32; LANES] {
        from_fn(|lane| left[lane] - right[lane])
    }

    #[inline(always)]
    unsafe fn mul(left: [f32; LANES], right: [f32; LANES]) -> [f32; LANES] {
        from_fn(|lane| left[lane] * right[lane])
    }

    #[inline(always)]
    unsafe fn div(left: [f32; LANES], right: [f32; LANES]) -> [f32; LANES] {
        from_fn(|lane| left[lane] / right[lane])
    }

    #[inline(always)]
    unsafe fn max(left: [f32; LANES], right: [f32; LANES]) -> [f32; LANES] {
        from_fn(|lane| {
            if left[lane] > right[lane] {
                left[lane]
            } else {
                right[lane]
            }
        })
    }

    #[inline(always)]
    unsafe fn min(left: [f32; LANES], right: [f32; LANES]) -> [f32; LANES] {
        from_fn(|lane| {
            if left[lane] < right[lane] {
                left[lane]
            } else {
                right[lane]
            }
        })
    }

    #[inline(always)]
    unsafe fn mul_add(
        left: [f32; LANES],
        right: [f32; LANES],
        addend: [f32; LANES],
    ) -> [f32; LANES] {
        from_fn(|lane| left[lane] * right[lane] + addend[lane])
    }

    #[inline(always)]
    unsafe fn power_of_two(exponent: [f32; LANES]) -> [f32; LANES] {
        from_fn(|lane| f32::from_bits(((exponent[lane] as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    unsafe fn round(value: [f32; LANES]) -> [f32; LANES] {
        from_fn(|lane| value[lane].round_ties_even())
    }

    #[inline(always)]
    unsafe fn sum(value: [f32; LANES]) -> f32 {
        value.iter().sum()
    }

    #[inline(always)]
    unsafe fn largest(value: [f32; LANES]) -> f32 {
        value.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> [f32; LANES] {
        let narrow = unsafe { from.cast::<[u16; LANES]>().read_unaligned() };
        narrow.map(|bits| f32::from_bits(u32::from(bits) << 16))
    }
}
