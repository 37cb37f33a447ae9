//! What one caller can cost: attacks on a process with default settings, measured from outside.
//!
//! Each attack is a line of a table: memory, the waiting time of probes and of another caller's
//! searches, what the attacker was answered, and whether the service is as before afterwards without
//! a restart. The short form asserts memory and recovery; `SIAMESE_HOSTILE=full` keeps each attack up
//! for seconds, with the default model, and asserts the times as well:
//!
//! ```sh
//! SIAMESE_HOSTILE=full SIAMESE_HOSTILE_TABLE=table.md \
//!     cargo test --release -p siamese-tests --test hostile -- --test-threads 1
//! ```
//!
//! `SIAMESE_BINARY` names another binary to measure.

#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests fail tests"
)]

mod attacker;
mod figures;
mod form;
mod latencies;
mod probes;
mod process;
mod trial;
mod victim;
mod wire;

mod answers;
mod bodies;
mod connections;
mod doors;
mod exits;
mod hang_ups;
mod rewriting;
mod streams;
mod within_limits;
