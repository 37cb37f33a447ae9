//! SHA-256 of files, and how a file compares with its pin.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

const READ_BYTES: usize = 1 << 16;

/// How a file on disk compares with its pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileState {
    /// Byte for byte what was pinned.
    Intact,
    /// Not there.
    Missing,
    /// Of another size.
    WrongSize {
        /// Its size.
        bytes: u64,
    },
    /// Of the right size with other content.
    WrongContent {
        /// Its SHA-256, hexadecimal.
        sha256: String,
    },
}

impl FileState {
    /// Compares the file at `path` with its size and checksum. The size is looked at first, so that a file cut
    /// short costs nothing to tell.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(crate) fn of(path: &Path, wanted_bytes: u64, wanted_sha256: &str) -> io::Result<Self> {
        let bytes = match fs_err::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Missing),
            Err(error) => return Err(error),
        };
        if bytes != wanted_bytes {
            return Ok(Self::WrongSize { bytes });
        }
        let sha256 = sha256_of(path)?;
        Ok(if sha256 == wanted_sha256 {
            Self::Intact
        } else {
            Self::WrongContent { sha256 }
        })
    }
}

impl fmt::Display for FileState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intact => formatter.write_str("is intact"),
            Self::Missing => formatter.write_str("is missing"),
            Self::WrongSize { bytes } => write!(formatter, "has the wrong size ({bytes} bytes)"),
            Self::WrongContent { sha256 } => write!(formatter, "differs (SHA-256 {sha256})"),
        }
    }
}

/// SHA-256 of a file, hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = fs_err::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "abc": FIPS 180-2, appendix B.1.
    const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_file_is_intact_missing_of_another_size_or_of_other_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        let state = || FileState::of(&path, 3, SHA256).unwrap();
        assert_eq!(state(), FileState::Missing);
        fs_err::write(&path, "abc").unwrap();
        assert_eq!(state(), FileState::Intact);
        fs_err::write(&path, "ab").unwrap();
        assert_eq!(state(), FileState::WrongSize { bytes: 2 });
        fs_err::write(&path, "abd").unwrap();
        assert!(matches!(state(), FileState::WrongContent { .. }));
    }
}
