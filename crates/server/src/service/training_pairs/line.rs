//! A pair as a line of JSON, which `siamese train` reads.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use siamese_index::Reader;

use super::PairPlan;
use super::plan::{Anchor, PlannedPair};
use crate::error::ApiError;
use crate::service::with_title;

/// Bytes of a text in a pair: what a model with a usual window reads of it, several times over. With all its
/// negatives a pair stays below the megabyte that a line may have.
const MAX_TEXT_BYTES: usize = 8 << 10;

/// A pair with its texts.
#[derive(Debug)]
pub(crate) struct PairLine {
    pair: PlannedPair,
    anchor: String,
    positive: String,
    negatives: Vec<String>,
}

impl PairPlan {
    /// The pair at a place; `None` when it is not one any more, or its texts are the same.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn line(
        &self,
        place: usize,
        collection: &Reader,
    ) -> Result<Option<PairLine>, ApiError> {
        let Some(pair) = self.pairs.get(place) else {
            return Ok(None);
        };
        let anchor = match &pair.anchor {
            Anchor::Document(id) => text_of(collection, id)?,
            Anchor::Query(query) => Some(query.trim().to_owned()),
        };
        let positive = text_of(collection, &pair.positive)?;
        let Some((anchor, positive)) = anchor.zip(positive) else {
            return Ok(None);
        };
        let mut negatives = Vec::new();
        for id in pair.negatives.iter() {
            let text = text_of(collection, id)?;
            // A copy of what belongs to the anchor belongs to it, too.
            negatives.extend(text.filter(|text| *text != positive && *text != anchor));
        }
        Ok((anchor != positive).then(|| PairLine {
            pair: pair.clone(),
            anchor,
            positive,
            negatives,
        }))
    }
}

/// The beginning of a document as it is encoded.
fn text_of(collection: &Reader, id: &str) -> Result<Option<String>, ApiError> {
    let Some(document) = collection.get(id)? else {
        return Ok(None);
    };
    let mut text = with_title(document.title.as_deref(), &document.text);
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    let text = text.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

impl Serialize for PairLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("anchor", &self.anchor)?;
        line.serialize_entry("positive", &self.positive)?;
        for (negative, number) in self.negatives.iter().zip(1..) {
            line.serialize_entry(&format!("negative_{number}"), negative)?;
        }
        line.serialize_entry("label", &*self.pair.label)?;
        // For people: what reads pairs passes over the rest.
        line.serialize_entry("source", self.pair.source.name())?;
        if let Anchor::Document(id) = &self.pair.anchor {
            line.serialize_entry("anchor_id", &**id)?;
        }
        line.serialize_entry("positive_id", &*self.pair.positive)?;
        line.end()
    }
}
