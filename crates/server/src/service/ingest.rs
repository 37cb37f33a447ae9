//! The only write path of texts: plan, encode what is new, store all or nothing.

use std::sync::Arc;

use siamese_encoder::InputKind;
use siamese_index::{
    Collection, DocumentDraft, DocumentWrite, Error as IndexError, NewPassage, UpsertStatus,
    WritePlan,
};

use super::{Embedding, blocking};
use crate::app::Engine;
use crate::error::ApiError;
use crate::metrics;
use crate::queue::{Admission, Lane};

/// Times a write is planned again when its documents changed under it.
const MAX_PLANS: usize = 5;

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteStatus {
    Created,
    Updated,
    Unchanged,
}

impl From<UpsertStatus> for WriteStatus {
    fn from(status: UpsertStatus) -> Self {
        match status {
            UpsertStatus::Created => Self::Created,
            UpsertStatus::Updated => Self::Updated,
            UpsertStatus::Unchanged => Self::Unchanged,
        }
    }
}

impl WriteStatus {
    fn label(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        }
    }
}

/// Something the caller should know about a document that was stored all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Warning {
    /// Only the first `kept` of `seen` tokens were encoded.
    Truncated { seen: usize, kept: usize },
}

/// The result for one document.
#[derive(Debug, Clone)]
pub(crate) struct DocumentOutcome {
    pub(crate) id: String,
    pub(crate) status: WriteStatus,
    pub(crate) passages: usize,
    pub(crate) warnings: Vec<Warning>,
}

/// Documents with their vectors, ready to be stored.
#[derive(Debug)]
pub(crate) struct Prepared {
    drafts: Arc<Vec<DocumentDraft>>,
    writes: Vec<DocumentWrite>,
    warnings: Vec<Vec<Warning>>,
}

impl Prepared {
    /// The documents, in order.
    pub(crate) fn drafts(&self) -> Arc<Vec<DocumentDraft>> {
        Arc::clone(&self.drafts)
    }
}

/// Stores documents with distinct ids, all or none; durable and searchable on return.
///
/// # Errors
/// 503 when the encoder's queue is full, 507 when the disk is, 409 when other writers keep
/// changing the same documents.
pub(crate) async fn ingest(
    engine: &Engine,
    collection: &Arc<Collection>,
    drafts: Arc<Vec<DocumentDraft>>,
    admission: Admission,
) -> Result<Vec<DocumentOutcome>, ApiError> {
    let prepared = prepare(engine, collection, drafts, admission).await?;
    commit(engine, collection, prepared, admission).await
}

/// The first half: finds what is new and encodes it. Nothing is stored yet.
///
/// # Errors
/// As [`ingest`].
pub(crate) async fn prepare(
    engine: &Engine,
    collection: &Arc<Collection>,
    drafts: Arc<Vec<DocumentDraft>>,
    admission: Admission,
) -> Result<Prepared, ApiError> {
    let (plans, texts) = plan(collection, &drafts).await?;
    let embeddings = engine
        .embed(texts, InputKind::Document, Lane::Bulk, admission)
        .await?;
    let (writes, warnings) = writes(&drafts, &plans, embeddings);
    Ok(Prepared {
        drafts,
        writes,
        warnings,
    })
}

/// The second half: stores, and prepares again what another writer changed in between.
///
/// # Errors
/// As [`ingest`].
pub(crate) async fn commit(
    engine: &Engine,
    collection: &Arc<Collection>,
    mut prepared: Prepared,
    admission: Admission,
) -> Result<Vec<DocumentOutcome>, ApiError> {
    let drafts = prepared.drafts();
    let mut stale = String::new();
    for _ in 0..MAX_PLANS {
        match store(collection, prepared.writes).await? {
            Ok(statuses) => return Ok(outcomes(&drafts, statuses, prepared.warnings)),
            Err(id) => stale = id,
        }
        tracing::debug!(
            id = stale,
            "changed while it was encoded; encoding it again"
        );
        prepared = prepare(engine, collection, Arc::clone(&drafts), admission).await?;
    }
    Err(IndexError::Stale { id: stale }.into())
}

/// Writes durably; the inner error is the id of a document that changed since it was planned.
async fn store(
    collection: &Arc<Collection>,
    writes: Vec<DocumentWrite>,
) -> Result<Result<Vec<UpsertStatus>, String>, ApiError> {
    let collection = Arc::clone(collection);
    blocking(move || match collection.upsert(&writes) {
        Ok(statuses) => Ok(Ok(statuses)),
        Err(IndexError::Stale { id }) => Ok(Err(id)),
        Err(error) => Err(error.into()),
    })
    .await
}

/// What each draft needs, and the texts to encode, in the order of the drafts that need it.
async fn plan(
    collection: &Arc<Collection>,
    drafts: &Arc<Vec<DocumentDraft>>,
) -> Result<(Vec<WritePlan>, Vec<String>), ApiError> {
    let (collection, drafts) = (Arc::clone(collection), Arc::clone(drafts));
    blocking(move || {
        let plans = collection.plan(&drafts)?;
        let texts = drafts
            .iter()
            .zip(&plans)
            .filter(|(_, plan)| **plan == WritePlan::Encode)
            .map(|(draft, _)| text_to_encode(draft))
            .collect();
        Ok((plans, texts))
    })
    .await
}

/// The title stands before the passage, so that it colours the passage's vector.
fn text_to_encode(draft: &DocumentDraft) -> String {
    match &draft.title {
        Some(title) => format!("{title} {}", draft.text),
        None => draft.text.clone(),
    }
}

fn writes(
    drafts: &[DocumentDraft],
    plans: &[WritePlan],
    embeddings: Vec<Embedding>,
) -> (Vec<DocumentWrite>, Vec<Vec<Warning>>) {
    let mut embeddings = embeddings.into_iter();
    let writes = drafts.iter().zip(plans).map(|(draft, plan)| {
        let embedding = if *plan == WritePlan::Encode {
            embeddings.next()
        } else {
            None
        };
        let warnings = embedding
            .as_ref()
            .and_then(truncation)
            .into_iter()
            .collect();
        let passages = embedding.map(|embedding| {
            vec![NewPassage {
                start: 0,
                end: draft.text.len(),
                vector: embedding.vector,
            }]
        });
        (
            DocumentWrite {
                draft: draft.clone(),
                passages,
            },
            warnings,
        )
    });
    writes.unzip()
}

fn truncation(embedding: &Embedding) -> Option<Warning> {
    let (seen, kept) = (embedding.tokens_seen, embedding.tokens_kept);
    (seen > kept).then_some(Warning::Truncated { seen, kept })
}

fn outcomes(
    drafts: &[DocumentDraft],
    statuses: Vec<UpsertStatus>,
    warnings: Vec<Vec<Warning>>,
) -> Vec<DocumentOutcome> {
    let results = statuses.into_iter().zip(warnings);
    let outcome =
        |(draft, (status, warnings)): (&DocumentDraft, (UpsertStatus, _))| DocumentOutcome {
            id: draft.id.clone(),
            status: status.into(),
            passages: 1,
            warnings,
        };
    let outcomes: Vec<_> = drafts.iter().zip(results).map(outcome).collect();
    count(&outcomes);
    outcomes
}

fn count(outcomes: &[DocumentOutcome]) {
    for status in [
        WriteStatus::Created,
        WriteStatus::Updated,
        WriteStatus::Unchanged,
    ] {
        let documents = outcomes
            .iter()
            .filter(|outcome| outcome.status == status)
            .count();
        metrics::documents_written(status.label(), documents);
    }
}
