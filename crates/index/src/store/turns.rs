//! Batches, the steps of a view and those of a copy take turns.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::frozen_view::Saved;
use super::rewriting::Changed;

/// Lets one of them go on at a time.
#[derive(Debug, Default)]
pub(super) struct Turns {
    turn: Mutex<Turn>,
}

/// What a batch has to do for those who read meanwhile.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// For a view that is being read.
    pub(super) saved: Option<Saved>,
    /// For a copy that is being made.
    pub(super) changed: Option<Changed>,
}

impl Turns {
    /// Waits until neither a batch nor a step is under way.
    pub(super) fn take(&self) -> MutexGuard<'_, Turn> {
        // A batch that panicked was applied whole or not at all, and saves before it applies.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
