//! Which documents were useful for which queries.

use super::CollectionId;
use super::value::{ValueReader, ValueWriter};

const VERSION: u8 = 1;

/// The feedback about the documents of a collection, as a whole. It belongs to all generations of the collection,
/// so it has a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FeedbackRecord {
    pub(crate) number: CollectionId,
    pub(crate) judgements: u64,
    /// Of the keys and values of all judgements.
    pub(crate) bytes: u64,
}

/// What was said about a document and a query. The document stands in the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JudgementRecord {
    pub(crate) is_useful: bool,
    pub(crate) at_ms: u64,
    pub(crate) query: String,
}

impl FeedbackRecord {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        ValueWriter::version(VERSION)
            .u32(self.number.0)
            .u64(self.judgements)
            .u64(self.bytes)
            .finish()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = ValueReader::version(bytes, VERSION)?;
        let record = Self {
            number: CollectionId(reader.u32()?),
            judgements: reader.u64()?,
            bytes: reader.u64()?,
        };
        reader.is_done().then_some(record)
    }
}

impl JudgementRecord {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        ValueWriter::version(VERSION)
            .raw(&[self.is_useful.into()])
            .u64(self.at_ms)
            .text(&self.query)
            .finish()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = ValueReader::version(bytes, VERSION)?;
        let is_useful = match reader.array()? {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let record = Self {
            is_useful,
            at_ms: reader.u64()?,
            query: reader.text()?.to_owned(),
        };
        reader.is_done().then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let feedback = FeedbackRecord {
            number: CollectionId(7),
            judgements: 8,
            bytes: u64::MAX,
        };
        let read = FeedbackRecord::from_bytes(&feedback.to_bytes());
        assert_eq!(read, Some(feedback));
        let judgement = JudgementRecord {
            is_useful: true,
            at_ms: 9,
            query: "é".to_owned(),
        };
        let mut bytes = judgement.to_bytes();
        assert_eq!(JudgementRecord::from_bytes(&bytes), Some(judgement));
        bytes[1] = 2;
        assert_eq!(JudgementRecord::from_bytes(&bytes), None);
    }
}
