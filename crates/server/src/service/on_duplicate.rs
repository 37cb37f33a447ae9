//! What becomes of a document that resembles another one, when it is stored.

use std::sync::Arc;

use siamese_index::{
    DocumentDraft, DocumentWrite, DuplicateAction, OnDuplicate, cosine, document_vector,
};

use super::{Cancel, blocking_steps};
use crate::backend::{Capability, Reader};
use crate::error::ApiError;

/// What a request says about documents that resemble one that is stored, or one before them in the same
/// request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum DuplicateRule {
    /// What the collection's settings say.
    OfCollection,
    /// This, or nothing.
    Given(Option<OnDuplicate>),
}

impl DuplicateRule {
    /// Returns what is done in a collection.
    pub(crate) fn in_collection(self, collection: &Reader) -> Option<OnDuplicate> {
        match self {
            Self::OfCollection => collection.settings().on_duplicate,
            Self::Given(on_duplicate) => on_duplicate,
        }
    }
}

/// The document that another one resembles most.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resemblance {
    pub(crate) id: String,
    /// Their cosine.
    pub(crate) score: f32,
}

type Write = DocumentWrite<Arc<DocumentDraft>>;

/// For each of these writes, in order, what it resembles. What is only kept or changes its metadata is not
/// compared.
///
/// # Errors
/// A store that fails.
pub(super) async fn resemblances(
    collection: &Arc<Reader>,
    on_duplicate: Option<OnDuplicate>,
    writes: Vec<Write>,
) -> Result<(Vec<Write>, Vec<Option<Resemblance>>), ApiError> {
    let Some(on_duplicate) = on_duplicate else {
        let none = vec![None; writes.len()];
        return Ok((writes, none));
    };
    let collection = Arc::clone(collection);
    blocking_steps(move |cancel| {
        let found = find(&*collection, on_duplicate, &writes, cancel)?;
        Ok((writes, found))
    })
    .await
}

fn find(
    collection: &Reader,
    on_duplicate: OnDuplicate,
    writes: &[Write],
    cancel: &Cancel,
) -> Result<Vec<Option<Resemblance>>, ApiError> {
    let stored = collection.embedded(Capability::OnDuplicate)?;
    // Documents of this request that will be stored.
    let mut earlier: Vec<(&str, Vec<f32>)> = Vec::new();
    let mut found = Vec::with_capacity(writes.len());
    for DocumentWrite { draft, passages } in writes {
        cancel.step()?;
        let Some(passages) = passages else {
            found.push(None);
            continue;
        };
        let vector = document_vector(passages);
        let most_alike = stored.most_alike(&vector, &draft.id, on_duplicate.min_score)?;
        let mut best = most_alike.map(|(id, score)| Resemblance { id, score });
        for (id, other) in &earlier {
            let score = cosine(&vector, other);
            let is_better = best.as_ref().is_none_or(|best| score > best.score);
            if score >= on_duplicate.min_score && is_better {
                let id = (*id).to_owned();
                best = Some(Resemblance { id, score });
            }
        }
        if best.is_none() || on_duplicate.action == DuplicateAction::Flag {
            earlier.push((&draft.id, vector));
        }
        found.push(best);
    }
    Ok(found)
}
