//! The packed forward pass on a CPU, for whatever an [`Architecture`](super::architecture::Architecture)
//! says.
//!
//! No token is padding, weights are packed once, and what can be done while a value is in the cache
//! is done then. The unsafe code of this crate is here: sizes of buffers and weights come from one
//! architecture, and threads that share them meet before one reads what another wrote. Everything
//! that depends on the CPU is in [`siamese_kernels`].

mod attention;
mod backbone;
mod chunks;
mod cores;
mod crew;
mod pass;
mod shape;
mod team;
mod weights;
mod workspace;

pub(super) use backbone::PackedBackbone;
