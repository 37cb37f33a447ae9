//! Removing what a dropped collection has left in the record.

use crate::Error;
use crate::store::{CollectionId, Key, KeyRange, Store, WriteBatch};

/// Removes everything of a dropped collection, in bounded batches, between which `goes_on` is asked.
/// Returns whether it came to the end.
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
            let mut entries = store.scan(&range);
            while !batch.is_full() {
                let Some((key, _)) = entries.next().transpose()? else {
                    break;
                };
                batch.remove(&key);
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
