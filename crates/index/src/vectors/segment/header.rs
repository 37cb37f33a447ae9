//! The head of a segment's file: what it holds, how long it is, and its checksums.

use crate::VectorPrecision;
use crate::store::{ValueReader, ValueWriter};
use crate::vectors::graph::MAX_LEVELS;

/// First bytes of the file. A machine of the other byte order reads another number.
const MAGIC: [u8; 8] = u64::to_ne_bytes(0x7365_676d_656e_7431);
/// Files with vectors. Raised when their layout changes; older ones are then written anew (`upgrade.rs`).
const FULL_VERSION: u8 = 2;
/// Files with two codes of each vector in place of the vector.
const COMPACT_VERSION: u8 = 3;
/// The body begins here.
pub(super) const HEADER_BYTES: usize = 192;

/// What is wrong with a segment's file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damage {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("it is not a segment of this version")]
    Header,
    #[error("it has {found} bytes instead of {expected}")]
    Length { found: usize, expected: usize },
    #[error("its checksum differs")]
    Checksum,
    #[error("its {0} contradict each other")]
    Content(&'static str),
}

/// What a segment's file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Header {
    /// Number of the collection.
    pub(crate) collection: u32,
    pub(crate) dimensions: u32,
    pub(crate) m: u32,
    pub(crate) ef_construction: u32,
    /// What it holds of vectors, which is the version of the file.
    pub(crate) precision: VectorPrecision,
    /// Rows of each level, bottom first; 0 for levels that are not there.
    pub(crate) level_rows: [u32; MAX_LEVELS],
    /// Rows of the bottom that cannot be reached from row 0.
    pub(crate) islands: u32,
    /// CRC-32 of everything after the header.
    pub(crate) body_checksum: u32,
}

impl Header {
    /// Rows of the bottom.
    pub(crate) fn rows(&self) -> usize {
        self.level_rows[0] as usize
    }

    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        self.bytes_of_version(match self.precision {
            VectorPrecision::Full => FULL_VERSION,
            VectorPrecision::Compact => COMPACT_VERSION,
        })
    }

    pub(super) fn bytes_of_version(self, version: u8) -> [u8; HEADER_BYTES] {
        let mut writer = ValueWriter::version(version)
            .raw(&MAGIC)
            .u32(self.collection)
            .u32(self.dimensions)
            .u32(self.m)
            .u32(self.ef_construction)
            .u32(self.islands)
            .u32(self.body_checksum);
        for rows in self.level_rows {
            writer = writer.u32(rows);
        }
        let fields = writer.finish();
        let checksum = crc32fast::hash(&fields);
        let mut bytes = [0; HEADER_BYTES];
        for (to, from) in bytes
            .iter_mut()
            .zip(fields.iter().chain(&checksum.to_le_bytes()))
        {
            *to = *from;
        }
        bytes
    }

    /// Reads and checks the header alone.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Damage> {
        match bytes.first() {
            Some(&COMPACT_VERSION) => Self::read_version(bytes, COMPACT_VERSION),
            _ => Self::read_version(bytes, FULL_VERSION),
        }
    }

    /// The same of another version, whose header has the same fields.
    pub(super) fn read_version(bytes: &[u8], version: u8) -> Result<Self, Damage> {
        Self::parse(bytes, version).ok_or(Damage::Header)
    }

    fn parse(bytes: &[u8], version: u8) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let mut reader = ValueReader::version(bytes, version)?;
        if reader.array()? != MAGIC {
            return None;
        }
        let mut header = Self {
            collection: reader.u32()?,
            dimensions: reader.u32()?,
            m: reader.u32()?,
            ef_construction: reader.u32()?,
            islands: reader.u32()?,
            body_checksum: reader.u32()?,
            precision: match version {
                COMPACT_VERSION => VectorPrecision::Compact,
                _ => VectorPrecision::Full,
            },
            level_rows: [0; MAX_LEVELS],
        };
        for rows in &mut header.level_rows {
            *rows = reader.u32()?;
        }
        (bytes == header.bytes_of_version(version)).then_some(header)
    }

    /// Checks length and checksum of the whole file.
    pub(super) fn check_body(&self, bytes: &[u8], expected: usize) -> Result<(), Damage> {
        let found = bytes.len();
        if found != expected {
            return Err(Damage::Length { found, expected });
        }
        if crc32fast::hash(&bytes[HEADER_BYTES..]) != self.body_checksum {
            return Err(Damage::Checksum);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written_and_not_with_any_bit_flipped() {
        VectorPrecision::ALL.into_iter().for_each(check_bits);
    }

    fn check_bits(precision: VectorPrecision) {
        let mut header = Header {
            precision,
            collection: 1,
            dimensions: 2,
            m: 3,
            ef_construction: 4,
            islands: 5,
            body_checksum: 6,
            ..Header::default()
        };
        header.level_rows[1] = 7;
        let bytes = header.to_bytes();
        assert_eq!(Header::read(&bytes).unwrap(), header);
        assert!(Header::read(&bytes[1..]).is_err());
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::read(&damaged).is_err(), "{bit}");
        }
    }
}
