//! The arithmetic of the packed forward pass, for the vector instructions this CPU has.
//!
//! [`Kernels`] is a table of functions, chosen once. The functions are written once, over
//! [`simd::Simd`], and compiled for each instruction set. Nothing here knows a model.

mod aligned;
mod coded;
mod functions;
mod packed_matrix;
mod rows;
mod simd;
mod table;
mod tile;

pub(crate) use aligned::AlignedVec;
pub(crate) use coded::{CodedKernels, CodedRows, CodedView};
pub(crate) use packed_matrix::PackedMatrix;
pub use packed_matrix::Precision;
pub(crate) use rows::Activation;
pub(crate) use table::{Kernels, LayerNorm, Product, split};
pub(crate) use tile::Tile;
