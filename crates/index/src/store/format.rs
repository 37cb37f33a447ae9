//! The version of the format that a store is written in.

use super::{Key, Store, WriteBatch};
use crate::Error;

/// The newest format that this version writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 10;

/// Refuses newer formats, and marks older ones as this one: their records are still read, but an
/// older program could not read what is written from now on.
pub(crate) fn check_format(store: &Store, had_store: bool) -> Result<(), Error> {
    let stored = stored_format(store)?;
    match stored {
        None if had_store => Err(store.corrupt("it is empty, and was not")),
        Some(FORMAT_VERSION) => Ok(()),
        Some(stored) if stored > FORMAT_VERSION => Err(Error::NewerFormat {
            stored,
            supported: FORMAT_VERSION,
        }),
        _ => write_format(store),
    }
}

/// The format that a store says it has.
pub(crate) fn stored_format(store: &Store) -> Result<Option<u32>, Error> {
    let Some(bytes) = store.get(&Key::format_version())? else {
        return Ok(None);
    };
    let bytes: Result<[u8; 4], _> = bytes.as_slice().try_into();
    let bytes = bytes.map_err(|_| store.corrupt("the format's version"))?;
    Ok(Some(u32::from_le_bytes(bytes)))
}

fn write_format(store: &Store) -> Result<(), Error> {
    let mut batch = WriteBatch::default();
    batch.put(
        &Key::format_version(),
        FORMAT_VERSION.to_le_bytes().to_vec(),
    );
    let sequence = store.apply(batch)?;
    store.make_durable(sequence)
}
