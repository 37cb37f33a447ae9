//! Documents that are made at random, and writing them.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use serde_json::json;
use siamese_index::{
    Collection, DocumentDraft, DocumentWrite, EncoderIdentity, Index, IndexOptions, Metadata,
    NewPassage,
};

pub(crate) const WORDS: [&str; 8] = ["red", "lamp", "Tür", "the", "a", "東", "ERR42", "Δότ"];

/// One less than there are colours.
pub(crate) const MAX_FACET_VALUES: usize = 2;

/// A document: a title of words, passages of words, and a colour in the metadata.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) title: Option<Vec<usize>>,
    pub(crate) passages: Vec<Vec<usize>>,
    pub(crate) colour: u8,
}

pub(crate) type Model = BTreeMap<String, Written>;

pub(crate) fn written() -> impl Strategy<Value = Written> {
    let words = || prop::collection::vec(0..WORDS.len(), 0..7);
    (
        prop::option::of(words()),
        prop::collection::vec(words(), 1..4),
        0..3_u8,
    )
        .prop_map(|(title, passages, colour)| Written {
            title,
            passages,
            colour,
        })
}

pub(crate) fn text(words: &[usize]) -> String {
    let words: Vec<&str> = words.iter().map(|word| WORDS[*word]).collect();
    words.join(" ")
}

pub(crate) fn vector(id: &str, passage: usize) -> Vec<f32> {
    let seed = id.bytes().map(f32::from).sum::<f32>() + 7.0 * passage as f32;
    vec![seed.sin(), (seed * 1.3).cos(), (seed * 0.7).sin(), 0.2]
}

pub(crate) fn write(id: &str, written: &Written) -> DocumentWrite {
    let (mut whole, mut passages) = (String::new(), Vec::new());
    for (number, words) in written.passages.iter().enumerate() {
        let start = whole.len();
        whole.push_str(&text(words));
        passages.push(NewPassage {
            start,
            end: whole.len(),
            vector: vector(id, number),
        });
        whole.push_str(". ");
    }
    let metadata: Metadata = serde_json::from_value(json!({"colour": written.colour})).unwrap();
    DocumentWrite {
        draft: DocumentDraft {
            id: id.to_owned(),
            title: written.title.as_deref().map(text),
            text: whole,
            metadata,
        },
        passages: Some(passages),
    }
}

pub(crate) fn open(folder: &Path, max_head_passages: usize) -> Index {
    let encoder = EncoderIdentity {
        id: "e".to_owned(),
        name: "n".to_owned(),
        dimensions: 4,
    };
    let options = IndexOptions {
        max_head_passages,
        ..IndexOptions::default()
    };
    Index::open(folder, &encoder, &options).unwrap()
}

pub(crate) fn upsert(
    collection: &Collection,
    model: &mut Model,
    documents: Vec<(String, Written)>,
) {
    let documents: Model = documents.into_iter().collect();
    let writes: Vec<_> = documents.iter().map(|(id, d)| write(id, d)).collect();
    collection.writer().upsert(&writes).unwrap();
    model.extend(documents);
}
