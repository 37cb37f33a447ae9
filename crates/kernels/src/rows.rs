//! What is done to whole rows: activations, softmax, layer norm.
//!
//! Widths are multiples of the register's lanes; callers fill up with zeros.

use super::functions::{erf, exp, tanh};
use super::simd::Simd;

/// The activation between the two layers of a feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x * Φ(x)` by the error function.
    Gelu,
    /// The approximation by tanh.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x` times its logistic function.
    Silu,
}

/// Applies an activation in place.
///
/// # Safety
/// The CPU has the instructions of `S`; `values` is valid for `width` values.
#[inline(always)]
pub(super) unsafe fn activate<S: Simd>(values: *mut f32, width: usize, activation: Activation) {
    // SAFETY: as the caller promises.
    unsafe {
        match activation {
            Activation::Gelu => map::<S, Gelu>(values, width),
            Activation::GeluTanh => map::<S, GeluTanh>(values, width),
            Activation::Relu => map::<S, Relu>(values, width),
            Activation::Silu => map::<S, Silu>(values, width),
        }
    }
}

/// Applies an activation in place, and multiplies by `gates`.
///
/// # Safety
/// As [`activate`], and `gates` is valid for `width` values, too.
#[inline(always)]
pub(super) unsafe fn gate<S: Simd>(
    values: *mut f32,
    gates: *const f32,
    width: usize,
    activation: Activation,
) {
    // SAFETY: as the caller promises; `at` is inside both rows.
    unsafe {
        activate::<S>(values, width, activation);
        for at in (0..width).step_by(S::LANES) {
            let value = S::mul(S::load(values.add(at)), S::load(gates.add(at)));
            S::store(values.add(at), value);
        }
    }
}

/// A function of every value. Not a closure: the compiler inlines those only when it likes to, and outside of
/// a function that has the CPU's instructions each of these is a call.
trait Elementwise {
    /// # Safety
    /// The CPU has the instructions of `S`.
    unsafe fn apply<S: Simd>(x: S::Vector) -> S::Vector;
}

struct Gelu;
struct GeluTanh;
struct Relu;
struct Silu;

impl Elementwise for Gelu {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: S::Vector) -> S::Vector {
        // SAFETY: the caller vouches for the instructions.
        unsafe { gelu::<S>(x) }
    }
}

impl Elementwise for GeluTanh {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: S::Vector) -> S::Vector {
        // SAFETY: the caller vouches for the instructions.
        unsafe { gelu_tanh::<S>(x) }
    }
}

impl Elementwise for Relu {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: S::Vector) -> S::Vector {
        // SAFETY: the caller vouches for the instructions.
        unsafe { S::max(S::splat(0.0), x) }
    }
}

impl Elementwise for Silu {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: S::Vector) -> S::Vector {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            let power = exp::<S>(S::sub(S::splat(0.0), x));
            S::div(x, S::add(power, S::splat(1.0)))
        }
    }
}

/// # Safety
/// As [`activate`].
#[inline(always)]
unsafe fn map<S: Simd, F: Elementwise>(values: *mut f32, width: usize) {
    for at in (0..width).step_by(S::LANES) {
        // SAFETY: `at` is inside the row.
        unsafe { S::store(values.add(at), F::apply::<S>(S::load(values.add(at)))) };
    }
}

/// # Safety
/// The CPU has the instructions of `S`.
#[inline(always)]
unsafe fn gelu<S: Simd>(x: S::Vector) -> S::Vector {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let half = S::mul(x, S::splat(0.5));
        let erf = erf::<S>(S::mul(x, S::splat(std::f32::consts::FRAC_1_SQRT_2)));
        S::mul_add(half, erf, half)
    }
}

/// Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016, section 2.
///
/// # Safety
/// The CPU has the instructions of `S`.
#[inline(always)]
unsafe fn gelu_tanh<S: Simd>(x: S::Vector) -> S::Vector {
    /// The square root of 2 / π.
    const SCALE: f32 = 0.797_884_6;
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let cube = S::mul(S::mul(x, x), x);
        let inner = S::mul(S::splat(SCALE), S::mul_add(cube, S::splat(0.044_715), x));
        let half = S::mul(x, S::splat(0.5));
        S::mul_add(half, tanh::<S>(inner), half)
    }
}

/// Turns scores into weights up to a factor: e to the score less the largest. Returns the factor
/// that makes their sum 1.
///
/// # Safety
/// The CPU has the instructions of `S`; `scores` is valid for `width` values, at least one
/// register.
#[inline(always)]
pub(super) unsafe fn softmax<S: Simd>(scores: *mut f32, width: usize) -> f32 {
    // SAFETY: `at` is inside the row.
    unsafe {
        let mut largest = S::load(scores);
        for at in (S::LANES..width).step_by(S::LANES) {
            largest = S::max(largest, S::load(scores.add(at)));
        }
        let largest = S::splat(S::largest(largest));
        let mut sum = S::splat(0.0);
        for at in (0..width).step_by(S::LANES) {
            let weight = exp::<S>(S::sub(S::load(scores.add(at)), largest));
            S::store(scores.add(at), weight);
            sum = S::add(sum, weight);
        }
        S::sum(sum).recip()
    }
}

/// Layer norm of one row in place, over its first `features` values; the others, up to `width`,
/// are zero before and after because their gains and shifts are. Where it is not centred, the mean
/// counts as 0, and the mean square becomes 1.
///
/// # Safety
/// The CPU has the instructions of `S`; all three pointers are valid for `width` values.
#[inline(always)]
pub(super) unsafe fn layer_norm<S: Simd>(
    row: *mut f32,
    width: usize,
    features: usize,
    gain: *const f32,
    shift: *const f32,
    (epsilon, centred): (f32, bool),
) {
    // SAFETY: `at` is inside the row.
    unsafe {
        let mut sum = S::splat(0.0);
        for at in (0..width).step_by(S::LANES) {
            sum = S::add(sum, S::load(row.add(at)));
        }
        let mean = match centred {
            true => S::sum(sum) / features as f32,
            false => 0.0,
        };
        let means = S::splat(mean);
        let mut squares = S::splat(0.0);
        for at in (0..width).step_by(S::LANES) {
            let distance = S::sub(S::load(row.add(at)), means);
            squares = S::mul_add(distance, distance, squares);
        }
        // Each zero that fills the row up has counted as the mean's square.
        let surplus = (width - features) as f32 * mean * mean;
        let variance = (S::sum(squares) - surplus) / features as f32;
        let scale = S::splat((variance + epsilon).sqrt().recip());
        for at in (0..width).step_by(S::LANES) {
            let normal = S::mul(S::sub(S::load(row.add(at)), means), scale);
            let value = S::mul_add(normal, S::load(gain.add(at)), S::load(shift.add(at)));
            S::store(row.add(at), value);
        }
    }
}

/// `row *= factor`.
///
/// # Safety
/// The CPU has the instructions of `S`; `row` is valid for `width` values.
#[inline(always)]
pub(super) unsafe fn scale<S: Simd>(row: *mut f32, factor: f32, width: usize) {
    for at in (0..width).step_by(S::LANES) {
        // SAFETY: `at` is inside the row.
        unsafe { S::store(row.add(at), S::mul(S::load(row.add(at)), S::splat(factor))) };
    }
}
