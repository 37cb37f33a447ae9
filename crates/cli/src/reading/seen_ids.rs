//! Notices when two parts of what is read would be stored under one id.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::Document;

/// Ids of this run. One takes about 40 bytes, so a million of them some 40 MB.
#[derive(Debug, Default)]
pub(crate) struct SeenIds {
    files: Vec<String>,
    first: HashMap<u64, First>,
}

/// Where an id was first, and with what.
#[derive(Debug, Clone, Copy)]
struct First {
    file: u32,
    line: u32,
    content: u64,
}

impl SeenIds {
    /// Begins a file; what is noted next is in it.
    pub(crate) fn begin(&mut self, file: &str) {
        self.files.push(file.to_owned());
    }

    /// Notes a document. Returns a sentence when its id is that of another one with other content,
    /// which it would replace.
    pub(crate) fn note(&mut self, document: &Document) -> Option<String> {
        let content = hash(&[
            document.title.as_deref().unwrap_or_default(),
            &document.text,
            &serde_json::to_string(&document.metadata).unwrap_or_default(),
        ]);
        let here = First {
            file: u32::try_from(self.files.len()).unwrap_or_default(),
            line: document
                .line
                .and_then(|line| u32::try_from(line).ok())
                .unwrap_or_default(),
            content,
        };
        let first = *self.first.entry(hash(&[&document.id])).or_insert(here);
        (first.content != content).then(|| self.sentence(&document.id, first))
    }

    fn sentence(&self, id: &str, first: First) -> String {
        let file = (first.file as usize)
            .checked_sub(1)
            .and_then(|file| self.files.get(file));
        let file = file.map(String::as_str).unwrap_or_default();
        let place = match first.line {
            0 => file.to_owned(),
            line => format!("{file}:{line}"),
        };
        format!("not stored: {place} has the same id, {id:?}, and would be replaced")
    }
}

/// Parts are told apart by their lengths. Equal hashes of different ids are less likely than a
/// broken disk: one in ten million for two million ids.
pub(super) fn hash(parts: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let hash = hash.finalize();
    hash.iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::document::Metadata;

    fn document(id: &str, text: &str, line: u64) -> Document {
        Document {
            id: id.to_owned(),
            title: None,
            text: text.to_owned(),
            metadata: Metadata::new(),
            line: Some(line),
        }
    }

    #[test]
    fn an_id_of_another_file_is_noticed_with_its_place() {
        let mut ids = SeenIds::default();
        ids.begin("customers.csv");
        assert_eq!(ids.note(&document("1", "Ada", 2)), None);
        ids.begin("tickets.csv");
        let sentence = ids.note(&document("1", "The lamp blinks", 2)).unwrap();
        assert!(sentence.contains("customers.csv:2"), "{sentence}");
        assert!(sentence.contains("\"1\""), "{sentence}");
    }

    #[test]
    fn the_same_document_twice_is_no_trouble() {
        let mut ids = SeenIds::default();
        ids.begin("a.csv");
        assert_eq!(ids.note(&document("1", "Ada", 2)), None);
        assert_eq!(ids.note(&document("1", "Ada", 9)), None);
    }
}
