//! What an alias stands for.

use super::value::{ValueReader, ValueWriter};

const VERSION: u8 = 1;

/// The value of an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AliasRecord {
    /// The name of the collection.
    pub(crate) collection: String,
}

impl AliasRecord {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        ValueWriter::version(VERSION)
            .text(&self.collection)
            .finish()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = ValueReader::version(bytes, VERSION)?;
        let record = Self {
            collection: reader.text()?.to_owned(),
        };
        reader.is_done().then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_read_as_it_was_written_and_not_when_it_is_cut() {
        let record = AliasRecord {
            collection: "tickets".to_owned(),
        };
        let bytes = record.to_bytes();
        assert_eq!(AliasRecord::from_bytes(&bytes), Some(record));
        assert_eq!(AliasRecord::from_bytes(&bytes[..bytes.len() - 1]), None);
    }
}
