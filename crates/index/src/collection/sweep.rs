//! Removing what a dropped collection has left in the record.

use crate::Error;
use crate::store::{CollectionId, Key, KeyRange, Store, WriteBatch};

/// Keys removed in one batch when a dropped collection is cleaned up.
const MAX_REMOVALS_PER_BATCH: usize = 10_000;

/// Removes everything of a dropped collection, in bounded batches.
pub(crate) fn sweep(store: &Store, collection: CollectionId) -> Result<(), Error> {
    for range in KeyRange::of_collection(collection) {
        loop {
            let mut batch = WriteBatch::default();
            for entry in store.scan(&range).take(MAX_REMOVALS_PER_BATCH) {
                batch.remove(&entry?.0);
            }
            if batch.is_empty() {
                break;
            }
            store.apply(batch)?;
        }
    }
    let mut batch = WriteBatch::default();
    batch.remove(&Key::dropped(collection));
    store.apply(batch)?;
    Ok(())
}
