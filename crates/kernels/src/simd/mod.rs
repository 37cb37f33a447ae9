//! One vocabulary over the vector instructions of several CPUs.
//!
//! [`Simd`] has what the kernels need and no more; each implementation is one file. Nothing here
//! knows what is computed.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(super) use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub(super) use neon::Neon;
pub(super) use portable::Portable;

/// A register of `LANES` f32 values and what can be done with it.
///
/// # Safety
/// Every function may only run on a CPU that has the implementation's instructions, inlined into
/// a function that enables them. Pointers must be valid for `LANES` values; no alignment is asked.
pub(super) trait Simd: Copy {
    type Vector: Copy;
    const LANES: usize;

    unsafe fn splat(value: f32) -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    unsafe fn store(to: *mut f32, value: Self::Vector);
    unsafe fn add(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    unsafe fn sub(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    unsafe fn mul(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    unsafe fn div(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    /// The right value where either is not a number, so that `max(bound, value)` keeps it.
    unsafe fn max(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    /// As [`Self::max`].
    unsafe fn min(left: Self::Vector, right: Self::Vector) -> Self::Vector;
    /// `left * right + addend`.
    unsafe fn mul_add(
        left: Self::Vector,
        right: Self::Vector,
        addend: Self::Vector,
    ) -> Self::Vector;
    /// Two to the power of each value, which is a whole number from -126 to 127.
    unsafe fn power_of_two(exponent: Self::Vector) -> Self::Vector;
    /// Each value to the nearest whole number.
    unsafe fn round(value: Self::Vector) -> Self::Vector;
    /// Sum over the lanes.
    unsafe fn sum(value: Self::Vector) -> f32;
    /// Largest lane.
    unsafe fn largest(value: Self::Vector) -> f32;
    /// `LANES` values of bfloat16, widened.
    unsafe fn load_bf16(from: *const u16) -> Self::Vector;
}
