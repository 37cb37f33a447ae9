//! Whether documents are the same in two places.

use anyhow::Result;
use serde::Serialize;

use super::held::{Held, Whole};
use super::sample::Sample;

/// A document that is not the same in both places.
#[derive(Debug, Serialize)]
pub(super) struct Difference {
    pub(super) id: String,
    /// The first part of it that differs.
    pub(super) what: &'static str,
}

/// The documents of a sample that differ. One that is in neither place any more does not.
///
/// # Errors
/// When one of the two cannot be read.
pub(super) fn differences(from: &Held, to: &Held, sample: &Sample) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    for id in sample.ids() {
        let what = match (from.get(id)?, to.get(id)?) {
            (Some(here), Some(there)) => difference(&here, &there),
            (None, None) => None,
            (Some(_), None) => Some("it is missing"),
            (None, Some(_)) => Some("it was deleted meanwhile"),
        };
        found.extend(what.map(|what| Difference {
            id: id.to_owned(),
            what,
        }));
    }
    Ok(found)
}

fn difference(here: &Whole, there: &Whole) -> Option<&'static str> {
    let (document, passages) = here;
    let (other, other_passages) = there;
    let spans = |passages: &[siamese_index::StoredPassage]| {
        let spans = passages.iter().map(|passage| (passage.start, passage.end));
        spans.collect::<Vec<_>>()
    };
    let mut vectors = passages.iter().zip(other_passages);
    let same_vectors = vectors.all(|(one, other)| one.vector == other.vector);
    let parts = [
        (document.title == other.title, "title"),
        (document.text == other.text, "text"),
        (document.metadata == other.metadata, "metadata"),
        (document.created_at_ms == other.created_at_ms, "created_at"),
        (document.updated_at_ms == other.updated_at_ms, "updated_at"),
        (spans(passages) == spans(other_passages), "passages"),
        (same_vectors, "vectors"),
    ];
    let different = parts.into_iter().find(|(is_same, _)| !is_same);
    different.map(|(_, part)| part)
}

#[cfg(test)]
mod tests {
    use siamese_index::{Metadata, StoredDocument, StoredPassage};

    use super::*;

    fn whole() -> Whole {
        let document = StoredDocument {
            id: "a".to_owned(),
            title: None,
            text: "text".to_owned(),
            metadata: Metadata::new(),
            passages: 1,
            created_at_ms: 1,
            updated_at_ms: 2,
        };
        let passage = StoredPassage {
            start: 0,
            end: 4,
            vector: Some(vec![0.6, 0.8]),
        };
        (document, vec![passage])
    }

    #[test]
    fn every_part_of_a_document_is_compared() {
        let same = |change: fn(&mut Whole)| {
            let mut other = whole();
            change(&mut other);
            difference(&whole(), &other)
        };
        assert_eq!(same(|_| ()), None);
        assert_eq!(same(|it| it.0.title = Some("t".to_owned())), Some("title"));
        assert_eq!(same(|it| it.0.text.push('s')), Some("text"));
        assert_eq!(
            same(|it| drop(it.0.metadata.insert("n".to_owned(), 1.into()))),
            Some("metadata")
        );
        assert_eq!(same(|it| it.0.created_at_ms = 0), Some("created_at"));
        assert_eq!(same(|it| it.0.updated_at_ms = 0), Some("updated_at"));
        assert_eq!(same(|it| it.1[0].end = 3), Some("passages"));
        assert_eq!(same(|it| drop(it.1.pop())), Some("passages"));
        assert_eq!(
            same(|it| it.1[0].vector = Some(vec![0.8, 0.6])),
            Some("vectors")
        );
    }
}
