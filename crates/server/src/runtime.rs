//! The threads that the service runs on.

use std::io;

use tokio::runtime::{Builder, Runtime};

use crate::thread_slice;

/// Tasks that a worker polls before it looks at its sockets again. With tokio's 61, a probe waits for as
/// many bursts of other connections before it is even read.
const POLLS_BETWEEN_LOOKS: u32 = 8;

/// The runtime that [`serve`](fn@crate::serve) is meant to run on: one that soon answers what is short while
/// much else is going on.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .event_interval(POLLS_BETWEEN_LOOKS)
        .on_thread_start(thread_slice::prefer_promptness)
        .build()
}
