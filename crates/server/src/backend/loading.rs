//! What keeps the service from being ready, while it is made ready.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Where loading has come to.
#[derive(Debug, Default)]
pub(crate) struct Loading {
    gave_up: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Loading {
    /// Nobody waits for it any more.
    pub(crate) fn give_up(&self) {
        self.gave_up.store(true, Ordering::Relaxed);
    }

    /// Whether that is so.
    #[cfg(feature = "qdrant")]
    pub(super) fn is_given_up(&self) -> bool {
        self.gave_up.load(Ordering::Relaxed)
    }

    /// Says what it waits for.
    #[cfg(feature = "qdrant")]
    pub(super) fn waits_for(&self, trouble: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }

    /// What it waits for, in a sentence for people.
    pub(crate) fn state(&self) -> String {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let state = trouble.as_deref();
        state
            .unwrap_or("the model and the index are still being loaded")
            .to_owned()
    }
}
