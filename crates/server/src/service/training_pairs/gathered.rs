//! What metadata and feedback say about which texts belong together.

use std::collections::BTreeMap;
use std::sync::Arc;

use siamese_index::{FieldPath, MAX_ID_BYTES, Metadata, Reader, Scalar};

use super::PairSources;
use crate::error::{ApiError, ErrorCode};

/// Memory for ids and values of the documents, bytes. A million of both take about this much.
const MAX_BYTES: usize = 256 << 20;
/// What an entry takes beside its text: in a map, in a list, and as a pair.
const ENTRY_BYTES: usize = 192;
/// Judgements that are read at once.
const JUDGEMENTS_PER_READ: usize = 1000;

/// Ids and queries are shared by all pairs that they are in.
pub(super) type Name = Arc<str>;

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Documents by the values of the field that says what is the same.
    pub(super) same: BTreeMap<Name, Vec<Name>>,
    /// To which document another one refers.
    pub(super) refers: BTreeMap<Name, Name>,
    /// What is useful for a query.
    pub(super) feedback: BTreeMap<Name, Judged>,
    bytes: usize,
}

/// Documents that were judged.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) useful: Vec<Name>,
    pub(super) others: Vec<Name>,
}

impl Gathered {
    /// Looks at all documents' metadata, and at all feedback, as far as they are asked for. Between two of them,
    /// `go_on` is asked.
    ///
    /// # Errors
    /// More than there is memory for, or what `go_on` returns.
    pub(super) fn of(
        collection: &Reader,
        sources: &PairSources,
        go_on: &dyn Fn() -> Result<(), ApiError>,
    ) -> Result<Self, ApiError> {
        let mut gathered = Self::default();
        if sources.same.is_some() || sources.refers.is_some() {
            collection.visit_documents(None, false, |document| {
                go_on()?;
                gathered.add_document(&document.id, &document.metadata, sources)?;
                Ok::<bool, ApiError>(true)
            })?;
        }
        if sources.feedback {
            gathered.add_feedback(collection, go_on)?;
        }
        Ok(gathered)
    }

    fn add_document(
        &mut self,
        id: &str,
        metadata: &Metadata,
        sources: &PairSources,
    ) -> Result<(), ApiError> {
        let id = Name::from(id);
        if let Some(field) = &sources.same {
            let mut values = values(field, metadata);
            // A document is not its own pair.
            values.sort_unstable();
            values.dedup();
            for value in values {
                self.count(id.len() + value.len())?;
                let documents = self.same.entry(value.into()).or_default();
                documents.push(Arc::clone(&id));
            }
        }
        if let Some(field) = &sources.refers {
            let target = values(field, metadata).into_iter().next();
            if let Some(target) = target.filter(|target| **target != *id) {
                self.count(id.len() + target.len())?;
                self.refers.insert(id, target.into());
            }
        }
        Ok(())
    }

    fn add_feedback(
        &mut self,
        collection: &Reader,
        go_on: &dyn Fn() -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            go_on()?;
            let read = collection.feedback(None, after.as_deref(), JUDGEMENTS_PER_READ)?;
            let read = read.unwrap_or_default();
            let Some(last) = read.last() else {
                return Ok(());
            };
            after = Some(last.place.clone());
            for stored in read {
                let said = stored.judgement;
                self.count(said.query.len() + said.document.len())?;
                let judged = self.feedback.entry(said.query.into()).or_default();
                let documents = match said.is_useful {
                    true => &mut judged.useful,
                    false => &mut judged.others,
                };
                documents.push(said.document.into());
            }
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.bytes += bytes + ENTRY_BYTES;
        if self.bytes <= MAX_BYTES {
            return Ok(());
        }
        let detail = format!(
            "ids and values of the documents from which pairs would be made take more than {MAX_BYTES} bytes; \
             name a field that fewer documents have"
        );
        Err(ApiError::new(ErrorCode::InvalidRequest, detail))
    }
}

/// The values of a field, as texts. One that is longer than an id, or null, says nothing.
fn values(field: &FieldPath, metadata: &Metadata) -> Vec<String> {
    let values = field.values(metadata).into_iter();
    let values = values.filter_map(|value| match value {
        Scalar::Null => None,
        Scalar::Bool(value) => Some(value.to_string()),
        Scalar::Number(number) => Some(match number.as_integer() {
            Some(integer) => integer.to_string(),
            None => number.as_f64().to_string(),
        }),
        Scalar::Text(text) => Some(text.to_string()),
    });
    values
        .filter(|value| (1..=MAX_ID_BYTES).contains(&value.len()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_texts_whatever_they_are_and_what_is_no_name_says_nothing() {
        let metadata =
            json!({"a": [17, 17.0, 0.5, true, null, "", "x", "y".repeat(513), {"b": 1}]});
        let field = FieldPath::parse("a").unwrap();
        let found = values(&field, metadata.as_object().unwrap());
        assert_eq!(found, ["17", "17", "0.5", "true", "x"]);
    }

    #[test]
    fn what_takes_too_much_memory_is_refused() {
        let mut gathered = Gathered::default();
        gathered.count(MAX_BYTES - ENTRY_BYTES).unwrap();
        let refused = gathered.count(0).unwrap_err();
        assert!(refused.detail().contains("fewer documents"), "{refused:?}");
    }
}
