//! Arithmetic on rows of vectors, for the vector instructions this CPU has.
//!
//! [`Kernels`] is a table of functions, chosen once. Nothing here knows what a row stands for.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod prefetch;
mod table;

pub(crate) use prefetch::prefetch;
pub(crate) use table::{Kernels, MAX_CODE};
