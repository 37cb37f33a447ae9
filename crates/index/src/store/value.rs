//! Values as bytes: little-endian numbers, lengths before what varies in length.

/// Builds a value.
#[derive(Debug, Default)]
pub(crate) struct ValueWriter(Vec<u8>);

impl ValueWriter {
    /// Starts a value with its version.
    pub(crate) fn version(version: u8) -> Self {
        Self(vec![version])
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        let length = text.len() as u32;
        self.u32(length).raw(text.as_bytes())
    }

    /// Bytes after their length.
    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        self.u32(bytes.len() as u32).raw(bytes)
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads a value back; `None` when it ends too early or is not what it should be.
#[derive(Debug)]
pub(crate) struct ValueReader<'a>(&'a [u8]);

impl<'a> ValueReader<'a> {
    /// Reads and checks the version.
    pub(crate) fn version(bytes: &'a [u8], expected: u8) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        (*version == expected).then_some(Self(rest))
    }

    /// Reads the version of a value that comes in several.
    pub(crate) fn any_version(bytes: &'a [u8]) -> Option<(u8, Self)> {
        let (version, rest) = bytes.split_first()?;
        Some((*version, Self(rest)))
    }

    /// Reads bytes that have no version.
    pub(super) fn plain(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes with their length before them.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.raw(length)
    }

    pub(crate) fn raw(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.raw(N)?.try_into().ok()
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// Returns whether everything has been read, as it should be at the end.
    pub(crate) fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}
