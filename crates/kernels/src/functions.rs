//! exp, erf and tanh over registers.
//!
//! The coefficients are least-squares fits, reweighted towards the smallest largest error
//! (Lawson's algorithm) and made for this file.

use super::simd::Simd;

/// Evaluates a polynomial, highest power first.
///
/// # Safety
/// The CPU has the instructions of `S`.
#[inline(always)]
unsafe fn polynomial<S: Simd>(x: S::Vector, coefficients: &[f32]) -> S::Vector {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let mut value = S::splat(coefficients[0]);
        for coefficient in &coefficients[1..] {
            value = S::mul_add(value, x, S::splat(*coefficient));
        }
        value
    }
}

/// e to the power of `x`, at most 88; relative error under 3e-7. Below -87 it is about 1e-38.
///
/// # Safety
/// The CPU has the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn exp<S: Simd>(x: S::Vector) -> S::Vector {
    /// On half of ln 2 to either side of 0; relative error 3.1e-9 before rounding.
    const POWERS: [f32; 7] = [
        0.001_381_461_3,
        0.008_368_71,
        0.041_668_39,
        0.166_665_21,
        0.499_999_94,
        1.0,
        1.0,
    ];
    /// ln 2 in two parts; the first has so few digits that its multiples are exact.
    const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let x = S::min(S::splat(88.0), S::max(S::splat(-87.0), x));
        let exponent = S::round(S::mul(x, S::splat(std::f32::consts::LOG2_E)));
        let rest = S::mul_add(exponent, S::splat(-LN_2.0), x);
        let rest = S::mul_add(exponent, S::splat(-LN_2.1), rest);
        S::mul(polynomial::<S>(rest, &POWERS), S::power_of_two(exponent))
    }
}

/// The error function; relative error under 4e-7.
///
/// # Safety
/// The CPU has the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn erf<S: Simd>(x: S::Vector) -> S::Vector {
    /// Beyond this, erf is 1 in f32.
    const END: f32 = 4.0;
    const ABOVE: [f32; 6] = [
        1.986_768_4e-6,
        2.845_655_5e-4,
        0.003_883_363_4,
        0.053_101_804,
        0.193_545_64,
        std::f32::consts::FRAC_2_SQRT_PI,
    ];
    const BELOW: [f32; 6] = [
        3.742_001e-5,
        0.001_185_574_3,
        0.015_207_292,
        0.115_350_224,
        0.504_857_9,
        1.0,
    ];
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let x = S::min(S::splat(END), S::max(S::splat(-END), x));
        let square = S::mul(x, x);
        let above = S::mul(x, polynomial::<S>(square, &ABOVE));
        S::div(above, polynomial::<S>(square, &BELOW))
    }
}

/// The hyperbolic tangent, as `1 - 2 / (e^2x + 1)`.
///
/// # Safety
/// The CPU has the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn tanh<S: Simd>(x: S::Vector) -> S::Vector {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let one = S::splat(1.0);
        let power = exp::<S>(S::add(x, x));
        S::sub(one, S::div(S::splat(2.0), S::add(power, one)))
    }
}
