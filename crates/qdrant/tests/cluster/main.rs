//! Collections on a real cluster. `tests/cluster/run.sh` starts one; where none is named, every test says that it was
//! passed over.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "everything here runs inside tests only"
)]

mod aliases;
mod collections;
mod documents;
mod filters;
mod generations;
mod support;
mod versions;
mod words;
