//! Watching that writes make progress, and ending the process when they do not for too long.
//!
//! What hangs in the disk or in the store cannot be ended by a thread of the same process. A new one can go
//! on from what is on the disk, where everything is that was acknowledged.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use siamese_index::Index;

use crate::config::StorageSettings;
use crate::metrics;

/// The exit code of a process whose writes have stalled for `storage.exit_after_stall_ms`: `EX_TEMPFAIL` of
/// sysexits.h, try again.
const STALLED_EXIT_CODE: i32 = 75;
/// Between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Watches the index as long as it is there, on a thread of its own: all others may be waiting.
///
/// # Errors
/// When the operating system gives no thread.
pub(crate) fn start(index: &Arc<Index>, settings: &StorageSettings) -> std::io::Result<()> {
    let mut watch = Watch {
        index: Arc::downgrade(index),
        stall_after: settings.stall_after,
        exit_after: settings.exit_after_stall(),
        was_stalled: false,
    };
    let thread = thread::Builder::new().name("stall-watch".to_owned());
    thread.spawn(move || {
        while watch.look() {
            thread::sleep(LOOK_PAUSE);
        }
    })?;
    Ok(())
}

struct Watch {
    index: Weak<Index>,
    stall_after: Duration,
    exit_after: Option<Duration>,
    was_stalled: bool,
}

impl Watch {
    /// Returns whether there is still something to watch.
    fn look(&mut self) -> bool {
        let Some(index) = self.index.upgrade() else {
            return false;
        };
        let waiting = index.longest_write();
        drop(index);
        if self.exit_after.is_some_and(|limit| waiting >= limit) {
            tracing::error!(
                waiting_ms = waiting.as_millis() as u64,
                "a write has made no progress for storage.exit_after_stall_ms; the process ends, to be started again"
            );
            std::process::exit(STALLED_EXIT_CODE);
        }
        let is_stalled = waiting >= self.stall_after;
        metrics::storage_stalled(is_stalled.then_some(waiting), self.was_stalled);
        self.was_stalled = is_stalled;
        true
    }
}
