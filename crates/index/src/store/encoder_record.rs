//! The encoder of the folder.

use super::value::{ValueReader, ValueWriter};
use crate::EncoderIdentity;

const VERSION: u8 = 1;

/// The encoder of collections unless they name another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncoderRecord {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) dimensions: u32,
}

impl EncoderRecord {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let writer = ValueWriter::version(VERSION)
            .text(&self.id)
            .text(&self.name);
        writer.u32(self.dimensions).finish()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = ValueReader::version(bytes, VERSION)?;
        let (id, name) = (reader.text()?.to_owned(), reader.text()?.to_owned());
        let record = Self {
            id,
            name,
            dimensions: reader.u32()?,
        };
        reader.is_done().then_some(record)
    }
}

impl From<&EncoderIdentity> for EncoderRecord {
    fn from(identity: &EncoderIdentity) -> Self {
        Self {
            id: identity.id.clone(),
            name: identity.name.clone(),
            dimensions: identity.dimensions as u32,
        }
    }
}

impl From<EncoderRecord> for EncoderIdentity {
    fn from(record: EncoderRecord) -> Self {
        Self {
            id: record.id,
            name: record.name,
            dimensions: record.dimensions as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_is_read_as_it_was_written() {
        let encoder = EncoderRecord {
            id: "i".into(),
            name: "n".into(),
            dimensions: 384,
        };
        assert_eq!(
            EncoderRecord::from_bytes(&encoder.to_bytes()),
            Some(encoder)
        );
    }
}
