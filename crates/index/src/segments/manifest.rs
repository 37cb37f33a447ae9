//! What is remembered about the segments of an index between two runs, in one small file.
//!
//! Like the segments it is a cache: when it does not read back, everything is found out again from
//! the record.

use std::io::{self, Write};
use std::path::Path;

use crate::durable_files;
use crate::store::{ValueReader, ValueWriter};

/// Segments that a manifest may name.
pub(crate) const MAX_SEGMENTS: u32 = 4096;
const CHECKSUM_BYTES: usize = size_of::<u32>();

/// What one kind of index remembers.
pub(crate) trait Manifest: Sized {
    /// Raised with every change of the manifest or the files: segments of another version are made
    /// anew.
    const VERSION: u8;

    /// Every living passage below this number is in a segment.
    fn end(&self) -> u32;

    /// Numbers of the segments, as many as [`MAX_SEGMENTS`] at most.
    fn numbers(&self) -> impl Iterator<Item = u64>;

    fn write(&self, writer: ValueWriter) -> io::Result<ValueWriter>;

    /// Reads what was written; `None` when it was not.
    fn read(reader: &mut ValueReader<'_>) -> Option<Self>;
}

/// Reads the manifest of a collection; `None` when there is none or it is not as it was written.
pub(super) fn read<M: Manifest>(path: &Path, collection: u32) -> Option<M> {
    from_bytes(&fs_err::read(path).ok()?, collection)
}

/// Replaces the manifest of a collection. On return the new one would survive a power cut.
pub(super) fn write<M: Manifest>(path: &Path, collection: u32, manifest: &M) -> io::Result<()> {
    let bytes = to_bytes(collection, manifest)?;
    durable_files::replace(path, |file| file.write_all(&bytes)).map(drop)
}

fn to_bytes<M: Manifest>(collection: u32, manifest: &M) -> io::Result<Vec<u8>> {
    let mut bytes = manifest
        .write(ValueWriter::version(M::VERSION).u32(collection))?
        .finish();
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    Ok(bytes)
}

fn from_bytes<M: Manifest>(bytes: &[u8], collection: u32) -> Option<M> {
    let (bytes, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    if crc32fast::hash(bytes).to_le_bytes() != *checksum {
        return None;
    }
    let mut reader = ValueReader::version(bytes, M::VERSION)?;
    if reader.u32()? != collection {
        return None;
    }
    let manifest = M::read(&mut reader)?;
    reader.is_done().then_some(manifest)
}

/// Fails unless a manifest is read as it was written, for its collection, and not when damaged.
#[cfg(test)]
pub(crate) fn assert_only_whole_is_read<M: Manifest + PartialEq + std::fmt::Debug>(manifest: M) {
    let bytes = to_bytes(7, &manifest).unwrap();
    assert_eq!(from_bytes(&bytes, 7), Some(manifest));
    assert_eq!(from_bytes::<M>(&bytes, 8), None, "another collection's");
    for length in 0..bytes.len() {
        assert_eq!(from_bytes::<M>(&bytes[..length], 7), None, "{length}");
    }
    for byte in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[byte] ^= 4;
        assert_eq!(from_bytes::<M>(&damaged, 7), None, "{byte}");
    }
}
