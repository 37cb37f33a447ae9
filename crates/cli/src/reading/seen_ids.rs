//! Notices when two parts of what is read would be stored under one id.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::document::{Document, Item, Trouble};

/// Ids of this run. One takes about 40 bytes, so a million of them some 40 MB.
#[derive(Debug, Default)]
pub(super) struct SeenIds {
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
    /// Lets an item of a file pass, unless it is a document that would replace another one.
    pub(super) fn checked(&mut self, file: &str, item: Item) -> Item {
        if self.files.last().is_none_or(|last| last != file) {
            self.files.push(file.to_owned());
        }
        match item {
            Item::Document(document) => match self.clash(&document) {
                Some(reason) => Item::Failed(Trouble {
                    line: document.line,
                    reason,
                }),
                None => Item::Document(document),
            },
            other => other,
        }
    }

    /// Notes a document of the last file. Returns a sentence when its id is that of another one with
    /// other content.
    fn clash(&mut self, document: &Document) -> Option<String> {
        let content = hash(&[
            document.title.as_deref().unwrap_or_default(),
            &document.text,
            &serde_json::to_string(&document.metadata).unwrap_or_default(),
        ]);
        let line = document.line.and_then(|line| u32::try_from(line).ok());
        let here = First {
            file: u32::try_from(self.files.len()).unwrap_or_default(),
            line: line.unwrap_or_default(),
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

    fn document(id: &str, text: &str, line: u64) -> Item {
        Item::Document(Document {
            id: id.to_owned(),
            title: None,
            text: text.to_owned(),
            metadata: Metadata::new(),
            line: Some(line),
        })
    }

    #[test]
    fn an_id_of_another_file_is_noticed_with_its_place() {
        let mut ids = SeenIds::default();
        let first = ids.checked("customers.csv", document("1", "Ada", 2));
        assert!(matches!(first, Item::Document(_)));
        let second = ids.checked("tickets.csv", document("1", "The lamp blinks", 7));
        let Item::Failed(trouble) = second else {
            panic!("{second:?}");
        };
        assert_eq!(trouble.line, Some(7));
        assert!(trouble.reason.contains("customers.csv:2"), "{trouble}");
        assert!(trouble.reason.contains("\"1\""), "{trouble}");
    }

    #[test]
    fn the_same_document_twice_is_no_trouble() {
        let mut ids = SeenIds::default();
        for line in [2, 9] {
            let item = ids.checked("a.csv", document("1", "Ada", line));
            assert!(matches!(item, Item::Document(_)));
        }
    }
}
