//! The limit on open files.

/// Raises the limit to what the system allows and says so in the log. Returns the limit, where
/// there is one.
#[cfg(unix)]
pub(crate) fn raise_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let before = limit.current?;
    // Some systems call the limit infinite and refuse to set that; this many they do not refuse.
    let wanted = limit.maximum.unwrap_or(MAX_WHERE_UNLIMITED.max(before));
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => {
            tracing::info!(max_open_files = wanted, before, "limit on open files");
            Some(wanted)
        }
        Err(error) => {
            tracing::warn!(max_open_files = before, %error, "the limit on open files stays as it is");
            Some(before)
        }
    }
}

/// Where the hard limit is infinite, as on macOS, whose kernel gives a process no more than this.
#[cfg(unix)]
const MAX_WHERE_UNLIMITED: u64 = 10240;

/// There is no such limit.
#[cfg(not(unix))]
pub(crate) fn raise_limit() -> Option<u64> {
    None
}
