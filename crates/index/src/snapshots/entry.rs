//! One entry of the store as it stands in a snapshot: both lengths, key, value.

use std::io::{self, Read, Write};

use crate::store::{Entry, Key};

/// Far more than any key or value has, so that a damaged length is not believed.
const MAX_KEY_BYTES: u32 = 4 << 10;
const MAX_VALUE_BYTES: u32 = 1 << 20;

/// Writes an entry; returns its bytes in the file.
pub(super) fn write(entry: &Entry, file: &mut impl Write) -> io::Result<u64> {
    let (key, value) = (entry.0.as_bytes(), &entry.1);
    for length in [key.len(), value.len()] {
        let length = u32::try_from(length).map_err(io::Error::other)?;
        file.write_all(&length.to_le_bytes())?;
    }
    file.write_all(key)?;
    file.write_all(value)?;
    Ok((8 + key.len() + value.len()) as u64)
}

/// Reads an entry; `None` when its lengths cannot be right.
pub(super) fn read(file: &mut impl Read) -> io::Result<Option<Entry>> {
    let (key_bytes, value_bytes) = (length(file)?, length(file)?);
    if key_bytes > MAX_KEY_BYTES || value_bytes > MAX_VALUE_BYTES {
        return Ok(None);
    }
    let mut key = vec![0; key_bytes as usize];
    let mut value = vec![0; value_bytes as usize];
    file.read_exact(&mut key)?;
    file.read_exact(&mut value)?;
    Ok(Some((Key::from_bytes(&key), value)))
}

fn length(file: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}
