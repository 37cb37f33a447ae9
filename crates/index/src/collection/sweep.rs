//! Removing what a dropped collection has left in the record.

use crate::Error;
use crate::store::{CollectionId, Key, KeyRange, Store, WriteBatch};

/// Keys removed in one batch when a dropped collection is cleaned up: few enough that what a batch may
/// take on a full disk, before it frees anything, is small beside the reserve.
const MAX_REMOVALS_PER_BATCH: usize = 2_000;

/// Removes everything of a dropped collection, in bounded batches, between which `goes_on` is asked.
/// Whether it came to the end.
///
/// # Errors
/// A store that fails or has no room.
pub(crate) fn sweep(
    store: &Store,
    collection: CollectionId,
    goes_on: &impl Fn() -> bool,
) -> Result<bool, Error> {
    for range in KeyRange::of_collection(collection) {
        loop {
            if !goes_on() {
                return Ok(false);
            }
            let mut batch = WriteBatch::freeing_room();
            for entry in store.scan(&range).take(MAX_REMOVALS_PER_BATCH) {
                batch.remove(&entry?.0);
            }
            if batch.is_empty() {
                break;
            }
            store.apply(batch)?;
        }
    }
    let mut batch = WriteBatch::freeing_room();
    batch.remove(&Key::dropped(collection));
    store.apply(batch)?;
    Ok(true)
}
