//! A file as memory.

use std::path::Path;

use memmap2::Mmap;

/// A read-only file, mapped.
#[derive(Debug)]
pub(super) struct MappedFile(Mmap);

impl MappedFile {
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let file = fs_err::File::open(path)?;
        // SAFETY: nobody changes the file while it is mapped: it stands in a folder that one
        // process has locked, and that process only makes and removes whole files there.
        let map = unsafe { Mmap::map(file.file()) }?;
        Ok(Self(map))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
