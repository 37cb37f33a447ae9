//! What is remembered about the segments of a lexical index between two runs.
//!
//! It holds a checksum of every file, so that tantivy never opens a damaged one.

use std::io::{self, Read};
use std::path::Path;

use crate::segments::{MAX_SEGMENTS, Manifest};
use crate::store::{ValueReader, ValueWriter};

/// Files that a segment may have.
const MAX_FILES: u32 = 64;
const READ_BYTES: usize = 1 << 16;
/// Files that tantivy leaves beside its index and that hold nothing.
const LOCK_EXTENSION: &str = "lock";

/// The segments of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LexicalManifest {
    pub(super) end: u32,
    /// In the order of their passages.
    pub(super) segments: Vec<NamedSegment>,
}

/// A folder with a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedSegment {
    pub(super) number: u64,
    pub(super) files: Vec<FileCheck>,
}

/// What a file held when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileCheck {
    name: String,
    pub(super) bytes: u64,
    checksum: u32,
}

impl FileCheck {
    /// All files of a folder as they are now.
    pub(super) fn all_in(folder: &Path) -> io::Result<Vec<Self>> {
        let mut files = Vec::new();
        for entry in fs_err::read_dir(folder)? {
            let path = entry?.path();
            let is_lock = path.extension().is_some_and(|end| end == LOCK_EXTENSION);
            if path.is_file() && !is_lock {
                files.push(Self::of(&path)?);
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut file = fs_err::File::open(path)?;
        let (mut hasher, mut bytes) = (crc32fast::Hasher::new(), 0);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            bytes += read as u64;
        }
        Ok(Self {
            name: name.into_owned(),
            bytes,
            checksum: hasher.finalize(),
        })
    }
}

impl Manifest for LexicalManifest {
    /// Raised also with every change of tantivy's format and of what a word is.
    const VERSION: u8 = 2;

    fn end(&self) -> u32 {
        self.end
    }

    fn numbers(&self) -> impl Iterator<Item = u64> {
        self.segments.iter().map(|segment| segment.number)
    }

    fn write(&self, writer: ValueWriter) -> io::Result<ValueWriter> {
        let mut writer = writer.u32(self.end).u32(self.segments.len() as u32);
        for segment in &self.segments {
            writer = writer.u64(segment.number).u32(segment.files.len() as u32);
            for file in &segment.files {
                writer = writer.text(&file.name).u64(file.bytes).u32(file.checksum);
            }
        }
        Ok(writer)
    }

    fn read(reader: &mut ValueReader<'_>) -> Option<Self> {
        let end = reader.u32()?;
        let segments = reader.u32().filter(|segments| *segments <= MAX_SEGMENTS)?;
        let segments = (0..segments).map(|_| segment(reader));
        Some(Self {
            end,
            segments: segments.collect::<Option<_>>()?,
        })
    }
}

fn segment(reader: &mut ValueReader<'_>) -> Option<NamedSegment> {
    let number = reader.u64()?;
    let files = reader.u32().filter(|files| *files <= MAX_FILES)?;
    let files = (0..files).map(|_| {
        Some(FileCheck {
            name: reader.text()?.to_owned(),
            bytes: reader.u64()?,
            checksum: reader.u32()?,
        })
    });
    let files = files.collect::<Option<_>>()?;
    Some(NamedSegment { number, files })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_not_when_damaged() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("a"), b"text").unwrap();
        fs_err::write(folder.path().join("b.lock"), b"").unwrap();
        let files = FileCheck::all_in(folder.path()).unwrap();
        assert_eq!((files.len(), files[0].bytes), (1, 4));
        crate::segments::assert_only_whole_is_read(LexicalManifest {
            end: 3,
            segments: vec![NamedSegment { number: 7, files }],
        });
    }
}
