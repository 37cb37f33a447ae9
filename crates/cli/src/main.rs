//! The one binary, `siamese`: the service and the commands to work with it.
//!
//! `commands/` has one file for each command. What they share stands beside it: `client` speaks
//! HTTP to a running service, `sender` sends it documents, `account` keeps what became of them, `eval` computes figures of
//! quality, `reading` reads people's files, `export_file` an export, `freed_memory` sets up the allocator, `model` gets
//! models onto this machine, `private_files` keeps data from other users, `vector_file` reads files of vectors.

#![expect(
    clippy::print_stderr,
    reason = "a command line program tells people what it does on standard error"
)]

mod account;
mod client;
#[cfg(feature = "qdrant")]
mod cluster;
mod commands;
mod eval;
mod export_file;
mod failure;
mod freed_memory;
mod logging;
mod model;
mod private_files;
mod reading;
mod sender;
mod vector_file;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let outcome = commands::Arguments::parse().run();
    outcome.unwrap_or_else(|error| failure::report(&error))
}
