//! What is remembered about a collection's segments between two runs, in one small file.
//!
//! Like the segments it is a cache: when it does not read back, everything is found out again
//! from the record.

use std::io::Write;
use std::path::Path;

use roaring::RoaringBitmap;

use crate::durable_files;
use crate::store::{Reader, Writer};

const VERSION: u8 = 1;
/// Segments that a manifest may name.
const MAX_SEGMENTS: u32 = 4096;
const CHECKSUM_BYTES: usize = size_of::<u32>();

/// The segments of a collection and what is alive in them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    /// Number of the collection.
    pub(crate) collection: u32,
    /// Numbers of the files.
    pub(crate) files: Vec<u64>,
    /// Every living passage below this number is in a segment.
    pub(crate) end: u32,
    /// The collection's count of removed passages when this was written. While it is still the
    /// same, so is what is dead.
    pub(crate) removed_passages: u64,
    /// Passages in segments that count no more.
    pub(crate) dead: RoaringBitmap,
    /// First passages of the documents in segments that are alive.
    pub(crate) documents: RoaringBitmap,
}

impl Manifest {
    /// Reads a manifest; `None` when there is none or it is not as it was written.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        Self::from_bytes(&fs_err::read(path).ok()?)
    }

    /// Replaces a manifest. On return the new one would survive a power cut.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let bytes = self.to_bytes()?;
        durable_files::replace(path, |file| file.write_all(&bytes)).map(drop)
    }

    fn to_bytes(&self) -> std::io::Result<Vec<u8>> {
        let mut writer = Writer::version(VERSION)
            .u32(self.collection)
            .u32(self.end)
            .u64(self.removed_passages)
            .u32(self.files.len() as u32);
        for file in &self.files {
            writer = writer.u64(*file);
        }
        for bitmap in [&self.dead, &self.documents] {
            let mut bytes = Vec::new();
            bitmap.serialize_into(&mut bytes)?;
            writer = writer.u32(bytes.len() as u32).raw(&bytes);
        }
        let mut bytes = writer.finish();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        Ok(bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (bytes, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        if crc32fast::hash(bytes).to_le_bytes() != *checksum {
            return None;
        }
        let mut reader = Reader::version(bytes, VERSION)?;
        let (collection, end) = (reader.u32()?, reader.u32()?);
        let removed_passages = reader.u64()?;
        let files = reader.u32().filter(|files| *files <= MAX_SEGMENTS)?;
        let manifest = Self {
            collection,
            end,
            removed_passages,
            files: (0..files).map(|_| reader.u64()).collect::<Option<_>>()?,
            dead: bitmap(&mut reader)?,
            documents: bitmap(&mut reader)?,
        };
        reader.is_done().then_some(manifest)
    }
}

fn bitmap(reader: &mut Reader<'_>) -> Option<RoaringBitmap> {
    let length = reader.u32()? as usize;
    RoaringBitmap::deserialize_from(reader.raw(length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_not_when_damaged() {
        let manifest = Manifest {
            collection: 1,
            files: vec![2, u64::MAX],
            end: 3,
            removed_passages: 4,
            dead: (5..70_000).collect(),
            documents: RoaringBitmap::new(),
        };
        let bytes = manifest.to_bytes().unwrap();
        assert_eq!(Manifest::from_bytes(&bytes), Some(manifest));
        for length in 0..bytes.len() {
            assert_eq!(Manifest::from_bytes(&bytes[..length]), None, "{length}");
        }
        for byte in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[byte] ^= 4;
            assert_eq!(Manifest::from_bytes(&damaged), None, "{byte}");
        }
    }
}
