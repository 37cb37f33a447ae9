//! Arithmetic on vectors and matrices, for the vector instructions that this CPU has.
//!
//! [`Kernels`] is a table of functions, chosen once: products of matrices with what a forward pass
//! does to their rows, and dot products of vectors. Nothing here knows a model or an index, and
//! nothing reads or writes a file.

mod aligned;
mod arithmetic;
mod bf16;
mod coded;
mod dot;
mod functions;
mod packed_matrix;
mod precision;
mod prefetch;
mod rows;
mod simd;
mod table;
mod tile;

pub use aligned::AlignedVec;
pub use arithmetic::{hadamard, rounded};
pub use coded::{CodedKernels, CodedRows, CodedView};
pub use dot::{BITS_TOGETHER, BitRows, MAX_CODE};
pub use packed_matrix::PackedMatrix;
pub use precision::Precision;
pub use prefetch::prefetch;
pub use rows::Activation;
pub use table::{Kernels, LayerNorm, NotAvailable, Product};
pub use tile::{Tile, split};
