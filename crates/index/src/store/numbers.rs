//! Numbers of collections, which are never used twice.

use super::{CollectionId, Key, Store};
use crate::Error;

/// The number of the next collection.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn next_collection_id(store: &Store) -> Result<CollectionId, Error> {
    let Some(bytes) = store.get(&Key::next_collection())? else {
        return Ok(CollectionId(0));
    };
    let bytes: Result<[u8; 4], _> = bytes.as_slice().try_into();
    let id = bytes.map_err(|_| store.corrupt("the next collection's number"))?;
    Ok(CollectionId(u32::from_le_bytes(id)))
}
