//! The number of the last write that was acknowledged, in a small file among sled's.
//!
//! sled ends its log at the first thing that it cannot read. This file tells a tail that was never
//! acknowledged from one that was, and has been lost since.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::value::{ValueReader, ValueWriter};
use crate::durable_files;

const FILE: &str = "acknowledged";
const VERSION: u8 = 1;
/// The number stands in turn in one of two places, so that a torn write leaves the other. They
/// are in different sectors of any disk.
const PLACES: [u64; 2] = [0, 4096];
/// Not zero when an fsync has failed.
const DOUBT_PLACE: u64 = 8192;
const FILE_BYTES: usize = 8192 + 1;
const RECORD_BYTES: usize = 1 + size_of::<u64>();
const CHECKSUM_BYTES: usize = size_of::<u32>();

/// The open file.
#[derive(Debug)]
pub(super) struct Watermark {
    file: fs_err::File,
    /// What the file says.
    sequence: u64,
    /// The place that the next number goes to.
    next_place: usize,
}

/// What a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The last acknowledged write; `None` when it cannot be read.
    pub(super) sequence: Option<u64>,
    /// Whether an fsync failed, so that the system's cache may hold what the disk does not.
    pub(super) is_in_doubt: bool,
    place: usize,
}

impl Watermark {
    /// Where the file of a store is.
    pub(super) fn path(store: &Path) -> PathBuf {
        store.join(FILE)
    }

    /// What is written down for a store; `None` when there is no file.
    pub(super) fn read(store: &Path) -> std::io::Result<Option<Found>> {
        let mut bytes = Vec::new();
        match fs_err::File::open(Self::path(store)) {
            Ok(file) => file.take(FILE_BYTES as u64).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let numbers = PLACES.map(|place| number(bytes.get(place as usize..)?));
        let place = usize::from(numbers[1] > numbers[0]);
        Ok(Some(Found {
            sequence: numbers[place],
            is_in_doubt: bytes
                .get(DOUBT_PLACE as usize)
                .is_some_and(|byte| *byte != 0),
            place,
        }))
    }

    /// Writes the file anew. On return it would survive a power cut.
    pub(super) fn create(store: &Path, sequence: u64) -> std::io::Result<Self> {
        let mut bytes = vec![0; FILE_BYTES];
        bytes[..RECORD_BYTES + CHECKSUM_BYTES].copy_from_slice(&record(sequence));
        Ok(Self {
            file: durable_files::replace(&Self::path(store), |file| file.write_all(&bytes))?,
            sequence,
            next_place: 1,
        })
    }

    /// Opens a file that has been read.
    pub(super) fn open(store: &Path, found: Found) -> std::io::Result<Self> {
        let file = fs_err::OpenOptions::new()
            .write(true)
            .open(Self::path(store))?;
        Ok(Self {
            file,
            sequence: found.sequence.unwrap_or_default(),
            next_place: 1 - found.place,
        })
    }

    /// Says that all writes up to this one are about to be acknowledged. On return that would
    /// survive a power cut. A number that is not larger than the last changes nothing.
    pub(super) fn advance(&mut self, sequence: u64) -> std::io::Result<()> {
        if sequence <= self.sequence {
            return Ok(());
        }
        self.write(PLACES[self.next_place], &record(sequence))?;
        self.file.sync_data()?;
        self.next_place = 1 - self.next_place;
        self.sequence = sequence;
        Ok(())
    }

    /// Says that an fsync has failed. It need not reach the disk: a power cut ends the doubt.
    pub(super) fn doubt(&mut self) -> std::io::Result<()> {
        self.write(DOUBT_PLACE, &[1])
    }

    fn write(&mut self, place: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(place))?;
        self.file.write_all(bytes)
    }
}

fn record(sequence: u64) -> [u8; RECORD_BYTES + CHECKSUM_BYTES] {
    let bytes = ValueWriter::version(VERSION).u64(sequence).finish();
    let mut record = [0; RECORD_BYTES + CHECKSUM_BYTES];
    record[..RECORD_BYTES].copy_from_slice(&bytes);
    record[RECORD_BYTES..].copy_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    record
}

fn number(bytes: &[u8]) -> Option<u64> {
    let (bytes, rest) = bytes.split_at_checked(RECORD_BYTES)?;
    let checksum = rest.first_chunk::<CHECKSUM_BYTES>()?;
    if crc32fast::hash(bytes).to_le_bytes() != *checksum {
        return None;
    }
    ValueReader::version(bytes, VERSION)?.u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(store: &Path) -> Option<u64> {
        Watermark::read(store)
            .unwrap()
            .and_then(|found| found.sequence)
    }

    #[test]
    fn the_last_number_is_read_and_a_torn_one_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().to_owned();
        assert_eq!(Watermark::read(&store).unwrap(), None);
        let mut watermark = Watermark::create(&store, 5).unwrap();
        for number in [6, 9, 10] {
            watermark.advance(number).unwrap();
            assert_eq!(sequence(&store), Some(number));
        }
        let found = Watermark::read(&store).unwrap().unwrap();
        let mut watermark = Watermark::open(&store, found).unwrap();
        watermark.advance(12).unwrap();
        let path = Watermark::path(&store);
        let whole = fs_err::read(&path).unwrap();
        for byte in (0..13).chain(4096..4109) {
            let mut torn = whole.clone();
            torn[byte] ^= 1;
            fs_err::write(&path, &torn).unwrap();
            let expected = if byte < 4096 { 10 } else { 12 };
            assert_eq!(sequence(&store), Some(expected), "{byte}");
        }
        fs_err::write(&path, &whole[..1]).unwrap();
        assert_eq!(sequence(&store), None);
    }

    #[test]
    fn doubt_is_remembered_until_the_file_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().to_owned();
        let is_in_doubt = || Watermark::read(&store).unwrap().unwrap().is_in_doubt;
        let mut watermark = Watermark::create(&store, 5).unwrap();
        assert!(!is_in_doubt());
        watermark.doubt().unwrap();
        watermark.advance(6).unwrap();
        assert!(is_in_doubt());
        drop(Watermark::create(&store, 6).unwrap());
        assert!(!is_in_doubt());
    }
}
