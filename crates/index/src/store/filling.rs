//! Filling a store that nobody else uses.

use super::{Entry, Sequence, Store, WriteBatch};
use crate::Error;

/// Puts entries into a store, in batches.
pub(crate) struct Filling<'a> {
    store: &'a Store,
    batch: WriteBatch,
    last: Option<Sequence>,
}

impl<'a> Filling<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self {
            store,
            batch: WriteBatch::default(),
            last: None,
        }
    }

    pub(crate) fn add(&mut self, (key, value): Entry) -> Result<(), Error> {
        self.batch.put(&key, value);
        if self.batch.is_full() {
            self.apply()?;
        }
        Ok(())
    }

    /// Makes everything durable.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.apply()?;
        self.last
            .map_or(Ok(()), |last| self.store.make_durable(last))
    }

    fn apply(&mut self) -> Result<(), Error> {
        self.last = Some(self.store.apply(std::mem::take(&mut self.batch))?);
        Ok(())
    }
}
