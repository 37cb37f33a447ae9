//! Writing a snapshot: header, entries, manifest, trailer, in one pass.

use std::io::{BufWriter, Write};

use sha2::{Digest, Sha256};

use super::census::Census;
use super::entry;
use super::manifest::{Section, SnapshotManifest};
use crate::Error;
use crate::store::Entry;

/// The first bytes of every snapshot.
pub(super) const MAGIC: [u8; 16] = *b"SIAMESE SNAPSHOT";
/// The newest version that is written and read here.
pub(super) const VERSION: u32 = 1;
/// Magic and version.
pub(super) const HEADER_BYTES: u64 = 20;
/// Length of the manifest, its CRC-32, and the SHA-256 of everything before that.
pub(super) const TRAILER_BYTES: u64 = 8 + 4 + 32;

const BUFFER_BYTES: usize = 1 << 20;

/// Writes entries, which come in the order of their keys, into a file.
#[derive(Debug)]
pub(super) struct SnapshotWriter {
    file: HashedFile,
    census: Census,
    sections: Vec<Section>,
    crc32: crc32fast::Hasher,
}

impl SnapshotWriter {
    pub(super) fn new(file: fs_err::File) -> Result<Self, Error> {
        let mut file = HashedFile {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            sha256: Sha256::new(),
            bytes: 0,
        };
        file.write_all(&MAGIC)?;
        file.write_all(&VERSION.to_le_bytes())?;
        Ok(Self {
            file,
            census: Census::default(),
            sections: Vec::new(),
            crc32: crc32fast::Hasher::new(),
        })
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.file.bytes
    }

    /// Adds an entry. `None` when it is not what it should be.
    pub(super) fn add(&mut self, entry: &Entry) -> Result<Option<()>, Error> {
        let (Some(name), Some(())) = (entry.0.section(), self.census.count(entry)) else {
            return Ok(None);
        };
        if self.sections.last().is_none_or(|last| last.name != name) {
            self.end_section();
            self.sections.push(Section {
                name: name.to_owned(),
                entries: 0,
                bytes: 0,
                crc32: 0,
            });
        }
        let mut checked = Checked {
            file: &mut self.file,
            crc32: &mut self.crc32,
        };
        let bytes = entry::write(entry, &mut checked)?;
        if let Some(section) = self.sections.last_mut() {
            section.entries += 1;
            section.bytes += bytes;
        }
        Ok(Some(()))
    }

    /// Writes what comes after the entries. `None` when the record lacks what every record has.
    pub(super) fn finish(
        mut self,
        created_at_ms: u64,
    ) -> Result<Option<(fs_err::File, SnapshotManifest, u64)>, Error> {
        self.end_section();
        let Some((data_format, encoder, collections)) = self.census.result() else {
            return Ok(None);
        };
        let manifest = SnapshotManifest {
            data_format,
            encoder,
            created_at_ms,
            collections,
            sections: self.sections,
        };
        let (json, mut file) = (manifest.to_json(), self.file);
        file.write_all(&json)?;
        file.write_all(&(json.len() as u64).to_le_bytes())?;
        file.write_all(&crc32fast::hash(&json).to_le_bytes())?;
        let digest = file.sha256.clone().finalize();
        file.write_all(&digest)?;
        let bytes = file.bytes;
        let file = file.file.into_inner().map_err(|error| error.into_error())?;
        Ok(Some((file, manifest, bytes)))
    }

    fn end_section(&mut self) {
        let crc32 = std::mem::take(&mut self.crc32).finalize();
        if let Some(section) = self.sections.last_mut() {
            section.crc32 = crc32;
        }
    }
}

/// A file whose checksum is made while it is written.
#[derive(Debug)]
struct HashedFile {
    file: BufWriter<fs_err::File>,
    sha256: Sha256,
    bytes: u64,
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_all(bytes)?;
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// The part of a file that belongs to one section.
struct Checked<'a> {
    file: &'a mut HashedFile,
    crc32: &'a mut crc32fast::Hasher,
}

impl Write for Checked<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.crc32.update(bytes);
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
