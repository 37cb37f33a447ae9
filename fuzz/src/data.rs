//! A small data folder with something of everything.

use std::path::Path;

use serde_json::json;
use siamese_index::{
    CollectionSettings, DocumentDraft, DocumentWrite, EncoderIdentity, Index, IndexOptions,
    Metadata, NewPassage,
};
use tempfile::TempDir;

/// Values of each vector.
const DIMENSIONS: usize = 4;
const DOCUMENTS: usize = 24;
const TEXTS: [&str; 4] = [
    "a red lamp on the table",
    "the lamp is broken",
    "ein Tisch aus Holz",
    "two words",
];

/// A data folder that is not open.
#[derive(Debug)]
pub struct Data {
    pub folder: TempDir,
}

/// Some vector of the right length.
pub fn embedding(number: usize) -> Vec<f32> {
    (0..DIMENSIONS)
        .map(|place| ((number * 7 + place * 3) % 11) as f32 - 5.0)
        .map(|value| if value == 0.0 { 0.5 } else { value })
        .collect()
}

impl Data {
    /// Two collections with segments, dead passages and a head; `then` sees them before they are closed.
    pub fn create(then: impl FnOnce(&Index)) -> Self {
        let folder = crate::in_memory();
        let index = Self::open(folder.path()).expect("a new data folder");
        let settings = CollectionSettings::default();
        index
            .put_collection("notes", &settings)
            .expect("a collection");
        for name in ["default", "notes"] {
            let collection = index.collection(name).expect("it has been made");
            for number in 0..DOCUMENTS {
                let writes = [document(number)];
                collection.writer().upsert(&writes).expect("a document");
            }
            let gone = ["d3".to_owned(), "d7".to_owned()];
            collection.writer().delete(&gone).expect("a deletion");
        }
        assert!(index.settle(), "segments are made");
        let default = index.collection("default").expect("it is always there");
        let late = [document(DOCUMENTS)];
        default.writer().upsert(&late).expect("a document");
        then(&index);
        drop((default, index));
        Self { folder }
    }

    pub fn open(folder: &Path) -> Result<Index, siamese_index::Error> {
        let identity = EncoderIdentity {
            id: "e".to_owned(),
            name: "n".to_owned(),
            dimensions: DIMENSIONS,
        };
        Index::open(folder, &identity, &Self::options())
    }

    pub fn options() -> IndexOptions {
        IndexOptions {
            cache_bytes: 8 << 20,
            max_head_passages: 16,
            ..IndexOptions::default()
        }
    }
}

/// A document with two passages.
fn document(number: usize) -> DocumentWrite<DocumentDraft> {
    let text = TEXTS[number % TEXTS.len()].repeat(2);
    let metadata = json!({ "n": number, "tags": ["a", "b"], "at": "2024-05-01T00:00:00Z" });
    let metadata: Metadata = serde_json::from_value(metadata).expect("an object");
    let middle = text.len() / 2;
    let passage = |start, end, number| NewPassage {
        start,
        end,
        vector: embedding(number),
    };
    DocumentWrite {
        passages: Some(vec![
            passage(0, middle, number),
            passage(middle, text.len(), number + 1),
        ]),
        draft: DocumentDraft {
            id: format!("d{number}"),
            title: (number % 3 == 0).then(|| "A title".to_owned()),
            text,
            metadata,
        },
    }
}
