//! Which threads go first where cores are scarce.

/// Niceness of background work, of 19 at most: about a tenth of a core that others want, too.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Lets other threads go before the calling one and those that are started from it.
pub fn step_back() {
    // Linux has a niceness for each thread, and 0 names the calling one.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "background work keeps its usual priority");
    }
}
