//! A document's title, text and metadata as one value, cut into pieces that the store likes.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Reader;
use crate::store::{DocumentRecord, Key, ValueReader, ValueWriter};
use crate::{Error, Metadata};

const VERSION: u8 = 1;

/// What is read back with a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Body {
    pub(super) title: Option<String>,
    pub(super) text: String,
    pub(super) metadata: Metadata,
}

impl Body {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let metadata = serde_json::to_string(&self.metadata).unwrap_or_default();
        ValueWriter::version(VERSION)
            .raw(&[u8::from(self.title.is_some())])
            .text(self.title.as_deref().unwrap_or_default())
            .text(&self.text)
            .text(&metadata)
            .finish()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = ValueReader::version(bytes, VERSION)?;
        let [has_title] = reader.array()?;
        let title = reader.text()?;
        let body = Self {
            title: (has_title == 1).then(|| title.to_owned()),
            text: reader.text()?.to_owned(),
            metadata: serde_json::from_str(reader.text()?).ok()?,
        };
        reader.is_done().then_some(body)
    }
}

/// The metadata in a body's bytes; the text is passed over.
pub(super) fn metadata_of(bytes: &[u8]) -> Option<Metadata> {
    let mut reader = ValueReader::version(bytes, VERSION)?;
    let [_has_title] = reader.array()?;
    for _title_or_text in 0..2 {
        let length = reader.u32()?;
        reader.raw(length as usize)?;
    }
    serde_json::from_str(reader.text()?).ok()
}

/// A stored body of which only those pieces are read that hold what is asked for.
pub(super) struct BodyPieces<'a> {
    collection: &'a Reader,
    record: DocumentRecord,
    /// What has been read.
    pieces: BTreeMap<u32, Vec<u8>>,
    has_title: bool,
    title: Range<usize>,
    text: Range<usize>,
    metadata: Range<usize>,
}

/// Nothing when a piece is not there, as when the document has just been replaced.
type Part<T> = Result<Option<T>, Error>;

impl<'a> BodyPieces<'a> {
    /// Reads where the parts are.
    pub(super) fn open(collection: &'a Reader, record: &DocumentRecord) -> Part<Self> {
        let mut body = Self {
            collection,
            record: *record,
            pieces: BTreeMap::new(),
            has_title: false,
            title: 0..0,
            text: 0..0,
            metadata: 0..0,
        };
        Ok(body.read_layout()?.map(|()| body))
    }

    fn read_layout(&mut self) -> Part<()> {
        let Some(start) = self.bytes(0..2)? else {
            return Ok(None);
        };
        if start[0] != VERSION {
            return Ok(None);
        }
        self.has_title = start[1] == 1;
        let mut end = start.len();
        for part in 0..3 {
            let Some(length) = self.bytes(end..end + size_of::<u32>())? else {
                return Ok(None);
            };
            let length = length.iter().rev();
            let length = length.fold(0, |length, byte| length << 8 | usize::from(*byte));
            let range = end + size_of::<u32>()..end + size_of::<u32>() + length;
            end = range.end;
            match part {
                0 => self.title = range,
                1 => self.text = range,
                _ => self.metadata = range,
            }
        }
        Ok(Some(()))
    }

    pub(super) fn title(&mut self) -> Part<Option<String>> {
        if !self.has_title {
            return Ok(Some(None));
        }
        Ok(self.string(self.title.clone())?.map(Some))
    }

    pub(super) fn text(&mut self) -> Part<String> {
        self.string(self.text.clone())
    }

    /// A part of the text; empty where it has no such part.
    pub(super) fn text_part(&mut self, part: Range<usize>) -> Part<String> {
        let (start, end) = (self.text.start + part.start, self.text.start + part.end);
        if start > end || end > self.text.end {
            return Ok(Some(String::new()));
        }
        let bytes = self.bytes(start..end)?;
        Ok(bytes.map(|bytes| String::from_utf8(bytes).unwrap_or_default()))
    }

    pub(super) fn metadata(&mut self) -> Part<Metadata> {
        let bytes = self.bytes(self.metadata.clone())?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    fn string(&mut self, range: Range<usize>) -> Part<String> {
        let bytes = self.bytes(range)?;
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    fn bytes(&mut self, range: Range<usize>) -> Part<Vec<u8>> {
        let Some(first) = self.piece(0)? else {
            return Ok(None);
        };
        // All pieces but the last are as long as the first.
        let length = first.len();
        if range.end <= length {
            return Ok(first.get(range).map(<[u8]>::to_vec));
        }
        let mut bytes = Vec::with_capacity(range.len());
        let (mut start, end) = (range.start, range.end);
        while start < end {
            let place = start / length;
            let (from, to) = (start - place * length, (end - place * length).min(length));
            let piece = self.piece(place as u32)?;
            match piece.and_then(|piece| piece.get(from..to)) {
                Some(part) => bytes.extend_from_slice(part),
                None => return Ok(None),
            }
            start = place * length + to;
        }
        Ok(Some(bytes))
    }

    fn piece(&mut self, place: u32) -> Part<&[u8]> {
        if !self.pieces.contains_key(&place) {
            let Reader { store, .. } = self.collection;
            let key = Key::body(self.collection.id(), self.record.number, place);
            match store.get(&key)? {
                Some(piece) if !piece.is_empty() => self.pieces.insert(place, piece),
                _ => return Ok(None),
            };
        }
        Ok(self.pieces.get(&place).map(Vec::as_slice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_as_it_was_written() {
        for title in [None, Some(String::new()), Some("t".to_owned())] {
            let metadata = serde_json::from_str(r#"{"a":[1,null,{"b":"ü"}]}"#).unwrap();
            let body = Body {
                title,
                text: "é\u{0}".to_owned(),
                metadata,
            };
            assert_eq!(metadata_of(&body.to_bytes()), Some(body.metadata.clone()));
            assert_eq!(Body::from_bytes(&body.to_bytes()), Some(body));
        }
    }
}
