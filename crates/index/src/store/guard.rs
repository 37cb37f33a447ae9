//! Calling sled: its errors and panics become ours.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use crate::Error;

thread_local! {
    static IN_SLED: Cell<bool> = const { Cell::new(false) };
}

/// Calls sled.
pub(super) fn guard<T>(folder: &Path, call: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
    keep_panics_quiet();
    let was_in_sled = IN_SLED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(call));
    IN_SLED.set(was_in_sled);
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(map_error(folder, error)),
        Err(panic) => Err(corrupt(folder, panic_message(&*panic))),
    }
}

/// A panic in here becomes an error with a sentence; its message would only stand beside it.
fn keep_panics_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if IN_SLED.get() {
                tracing::debug!(%panic, "sled panicked");
            } else {
                usual(panic);
            }
        }));
    });
}

fn map_error(folder: &Path, error: sled::Error) -> Error {
    match error {
        sled::Error::Io(error) => Error::Io(error),
        error => corrupt(folder, error.to_string()),
    }
}

/// An error about what was read from a store.
pub(super) fn corrupt(folder: &Path, reason: impl Into<String>) -> Error {
    Error::Corrupt {
        path: folder.to_owned(),
        reason: reason.into(),
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
    let message = message.unwrap_or("it cannot be read");
    // One line is enough for a sentence.
    message.lines().next().unwrap_or_default().to_owned()
}
