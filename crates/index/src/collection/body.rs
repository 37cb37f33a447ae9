//! A document's title, text and metadata as one value, cut into pieces that the store likes.

use crate::Metadata;
use crate::store::{Reader, Writer};

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
        Writer::version(VERSION)
            .raw(&[u8::from(self.title.is_some())])
            .text(self.title.as_deref().unwrap_or_default())
            .text(&self.text)
            .text(&metadata)
            .finish()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::version(bytes, VERSION)?;
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
    let mut reader = Reader::version(bytes, VERSION)?;
    let [_has_title] = reader.array()?;
    for _title_or_text in 0..2 {
        let length = reader.u32()?;
        reader.raw(length as usize)?;
    }
    serde_json::from_str(reader.text()?).ok()
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
