//! The generations of a collection beside the one that is read.

use super::CollectionRecord;
use super::value::{ValueReader, ValueWriter};

const VERSION: u8 = 1;

/// What a generation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerationState {
    /// Documents that were there when it was made are still missing, and are being copied.
    Filling,
    /// Documents are missing, and none are copied until somebody says so.
    Paused,
    /// It holds every document, and waits to be activated.
    Ready,
    /// Reads see it.
    Active,
    /// It was active before, and still holds every document.
    Retired,
}

/// A generation that is written to and not read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OtherGeneration {
    pub(crate) number: u32,
    pub(crate) state: GenerationState,
    pub(crate) record: CollectionRecord,
}

/// The generations of a collection. Without such a record there is one, number 1, which is active.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GenerationsRecord {
    /// The number of the one that reads see; the collection's own record is about it.
    pub(crate) active: u32,
    /// The number of the next one; none is used twice.
    pub(crate) next: u32,
    pub(crate) others: Vec<OtherGeneration>,
}

impl Default for GenerationsRecord {
    fn default() -> Self {
        Self {
            active: 1,
            next: 2,
            others: Vec::new(),
        }
    }
}

impl GenerationState {
    /// Returns whether documents that were there when it was made may be missing.
    pub fn lacks_documents(self) -> bool {
        matches!(self, Self::Filling | Self::Paused)
    }

    fn code(self) -> u8 {
        match self {
            Self::Filling => 0,
            Self::Ready => 1,
            Self::Active => 2,
            Self::Retired => 3,
            Self::Paused => 4,
        }
    }
}

impl GenerationsRecord {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let writer = ValueWriter::version(VERSION);
        let mut writer = writer
            .u32(self.active)
            .u32(self.next)
            .u32(self.others.len() as u32);
        for OtherGeneration {
            number,
            state,
            record,
        } in &self.others
        {
            writer = writer
                .u32(*number)
                .raw(&[state.code()])
                .bytes(&record.to_bytes());
        }
        writer.finish()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = ValueReader::version(bytes, VERSION)?;
        let (active, next, count) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let mut others = Vec::new();
        for _ in 0..count {
            others.push(OtherGeneration {
                number: reader.u32()?,
                state: match reader.array()? {
                    [0] => GenerationState::Filling,
                    [1] => GenerationState::Ready,
                    [3] => GenerationState::Retired,
                    [4] => GenerationState::Paused,
                    _ => return None,
                },
                record: CollectionRecord::from_bytes(reader.bytes()?)?,
            });
        }
        let record = Self {
            active,
            next,
            others,
        };
        reader.is_done().then_some(record)
    }
}
