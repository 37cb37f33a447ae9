//! What the black-box tests share: the binary, a running server, an HTTP client.
//!
//! A failure here is a failed test, so this crate panics freely.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "everything here runs inside tests only"
)]

mod binary;
mod certificates;
mod client;
mod collector;
mod dice;
mod io_shim;
mod raw;
mod server;
mod small_disk;
mod stream;

pub use binary::{binary, model_dir, tiny_model_dir};
pub use certificates::{Authority, Identity};
pub use client::{Answer, Client};
pub use collector::Collector;
pub use dice::{Dice, setting};
pub use io_shim::io_shim;
pub use raw::RawConnection;
pub use server::{QDRANT_URLS, Server, ServerOptions, free_port};
pub use small_disk::SmallDisk;
pub use stream::IngestStream;
