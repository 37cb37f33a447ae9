//! Reading a snapshot: its manifest alone, or all of it with every checksum.

use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::census::Census;
use super::entry;
use super::manifest::{Section, SnapshotManifest};
use super::writer::{HEADER_BYTES, MAGIC, TRAILER_BYTES, VERSION};
use crate::Error;
use crate::store::{Entry, FORMAT_VERSION};

const BUFFER_BYTES: usize = 1 << 20;
/// Room for the names and counts of far more collections than a folder may have.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// A snapshot whose manifest has been read and is sound.
#[derive(Debug)]
pub(super) struct SnapshotReader {
    path: PathBuf,
    file: fs_err::File,
    manifest: SnapshotManifest,
    bytes: u64,
}

impl SnapshotReader {
    /// Opens a snapshot and reads its manifest.
    ///
    /// # Errors
    /// A file that is no snapshot, is cut short, has a damaged manifest, or is of a newer version.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let mut file = fs_err::File::open(path)?;
        let bytes = file.metadata()?.len();
        read_header(path, &mut file)?;
        let manifest = read_manifest(path, &mut file, bytes)?;
        if manifest.data_format > FORMAT_VERSION {
            return Err(Error::NewerSnapshot {
                path: path.to_owned(),
                what: "data of format",
                stored: manifest.data_format,
                supported: FORMAT_VERSION,
            });
        }
        let path = path.to_owned();
        Ok(Self {
            path,
            file,
            manifest,
            bytes,
        })
    }

    pub(super) fn manifest(&self) -> &SnapshotManifest {
        &self.manifest
    }

    /// Size of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads everything once: checksums of the sections and of the whole, and the counts. Gives each
    /// entry to `take`.
    ///
    /// # Errors
    /// The first thing that is not as it was written, or what `take` returns.
    pub(super) fn read_all(
        &self,
        mut take: impl FnMut(Entry) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut hashed = HashedFile {
            file: BufReader::with_capacity(BUFFER_BYTES, file),
            sha256: Sha256::new(),
        };
        let mut header = [0; HEADER_BYTES as usize];
        hashed.read_exact(&mut header)?;
        let mut census = Census::default();
        for section in &self.manifest.sections {
            self.read_section(&mut hashed, section, &mut census, &mut take)?;
        }
        self.check_counts(census)?;
        let mut rest = Vec::new();
        hashed.file.read_to_end(&mut rest)?;
        let (rest, digest) = rest.split_at(rest.len().saturating_sub(32));
        hashed.sha256.update(rest);
        if hashed.sha256.finalize().as_slice() != digest {
            return Err(self.damaged("its checksum does not match"));
        }
        Ok(())
    }

    fn read_section(
        &self,
        file: &mut HashedFile<'_>,
        section: &Section,
        census: &mut Census,
        take: &mut impl FnMut(Entry) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let damaged = || self.damaged(&format!("its section {} is damaged", section.name));
        let mut checked = Checked {
            file: Read::take(file, section.bytes),
            crc32: crc32fast::Hasher::new(),
        };
        for _ in 0..section.entries {
            let entry = match entry::read(&mut checked) {
                Ok(entry) => entry.ok_or_else(damaged)?,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(damaged()),
                Err(error) => return Err(error.into()),
            };
            census.count(&entry).ok_or_else(damaged)?;
            take(entry)?;
        }
        let is_whole = checked.file.limit() == 0;
        if is_whole && checked.crc32.finalize() == section.crc32 {
            return Ok(());
        }
        Err(damaged())
    }

    fn check_counts(&self, census: Census) -> Result<(), Error> {
        let manifest = &self.manifest;
        let is_as_said = census.result().is_some_and(|(format, encoder, counts)| {
            format == manifest.data_format
                && encoder == manifest.encoder
                && counts == manifest.collections
        });
        if is_as_said {
            return Ok(());
        }
        Err(self.damaged("it does not hold what its manifest says"))
    }

    fn damaged(&self, reason: &str) -> Error {
        damaged(&self.path, reason)
    }
}

fn damaged(path: &Path, reason: &str) -> Error {
    Error::SnapshotDamaged {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

fn read_header(path: &Path, file: &mut fs_err::File) -> Result<(), Error> {
    let (mut magic, mut version) = ([0; 16], [0; 4]);
    for part in [&mut magic[..], &mut version[..]] {
        match file.read_exact(part) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(damaged(path, "it is cut short"));
            }
            outcome => outcome?,
        }
    }
    if magic != MAGIC {
        return Err(damaged(path, "it is no snapshot of siamese"));
    }
    let version = u32::from_le_bytes(version);
    if version > VERSION {
        return Err(Error::NewerSnapshot {
            path: path.to_owned(),
            what: "version",
            stored: version,
            supported: VERSION,
        });
    }
    if version != VERSION {
        return Err(damaged(path, "its header is damaged"));
    }
    Ok(())
}

/// The manifest at the end, whose sections must fill the file.
fn read_manifest(
    path: &Path,
    file: &mut fs_err::File,
    bytes: u64,
) -> Result<SnapshotManifest, Error> {
    let broken = || damaged(path, "it is cut short, or its manifest is damaged");
    let Some(before_trailer) = bytes.checked_sub(TRAILER_BYTES) else {
        return Err(broken());
    };
    file.seek(SeekFrom::Start(before_trailer))?;
    let (mut length, mut crc32) = ([0; 8], [0; 4]);
    file.read_exact(&mut length)?;
    file.read_exact(&mut crc32)?;
    let length = u64::from_le_bytes(length);
    let start = before_trailer.checked_sub(length);
    let start = start.filter(|start| *start >= HEADER_BYTES && length <= MAX_MANIFEST_BYTES);
    let start = start.ok_or_else(broken)?;
    file.seek(SeekFrom::Start(start))?;
    let mut json = vec![0; length as usize];
    file.read_exact(&mut json)?;
    if crc32fast::hash(&json) != u32::from_le_bytes(crc32) {
        return Err(broken());
    }
    let manifest = SnapshotManifest::from_json(&json).ok_or_else(broken)?;
    let sections = manifest.sections.iter();
    let end = sections.fold(HEADER_BYTES, |end, section| {
        end.saturating_add(section.bytes)
    });
    if end == start {
        Ok(manifest)
    } else {
        Err(broken())
    }
}

/// A file whose checksum is made while it is read.
struct HashedFile<'a> {
    file: BufReader<&'a fs_err::File>,
    sha256: Sha256,
}

impl Read for HashedFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        self.sha256.update(&buffer[..bytes]);
        Ok(bytes)
    }
}

/// The part of a file that belongs to one section.
struct Checked<R> {
    file: std::io::Take<R>,
    crc32: crc32fast::Hasher,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        self.crc32.update(&buffer[..bytes]);
        Ok(bytes)
    }
}
