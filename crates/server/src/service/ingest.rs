//! The only write path of texts: plan, encode what is new, store all or nothing.

use std::sync::Arc;

use siamese_encoder::{Encoder, TokenizedText};
use siamese_index::{
    DocumentDraft, DocumentWrite, DuplicateAction, Error as IndexError, NewPassage, OnDuplicate,
    UpsertStatus, Upserted, WritePlan,
};

use super::chunking::{ChunkError, ChunkedText, Chunker};
use super::encoded_passages::EncodedPassages;
use super::on_duplicate::{Resemblance, resemblances};
use super::{Embedding, Vocabulary, blocking_steps, blocking_write};
use crate::app::Engine;
use crate::backend::{Generations, Writer};
use crate::error::ApiError;
use crate::metrics;
use crate::queue::{Admission, Lane};
use crate::request_part::RequestPart;
use crate::telemetry::{self, Clock};

/// Documents that are stored together; whoever works on them shares them.
pub(crate) type Drafts = Arc<[Arc<DocumentDraft>]>;

pub(super) type SharedWrite = DocumentWrite<Arc<DocumentDraft>>;

/// Times a write is planned again when its documents changed under it, or a generation was filled for which it was not
/// planned, since that has waited long enough (`OLDER_WRITES_PATIENCE`).
const MAX_PLANS: usize = 5;

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteStatus {
    Created,
    Updated,
    Unchanged,
    /// Not stored, since it resembles another one.
    Rejected,
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
            Self::Rejected => "rejected",
        }
    }
}

/// Something the caller should know about a document that was stored all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Warning {
    /// Only the first `kept` of `seen` tokens were encoded.
    Truncated { seen: usize, kept: usize },
    /// Only the first `kept` of the title's `seen` tokens stand before each passage.
    TitleTruncated { seen: usize, kept: usize },
    /// The model has no tokens for most of the text.
    UnknownToModel { tokens: usize, unknown: usize },
}

/// The result for one document.
#[derive(Debug, Clone)]
pub(crate) struct DocumentOutcome {
    pub(crate) id: String,
    pub(crate) status: WriteStatus,
    pub(crate) passages: usize,
    pub(crate) warnings: Vec<Warning>,
    /// The document that it resembles, if that was to be found out.
    pub(crate) duplicate_of: Option<Resemblance>,
}

/// Documents with their vectors, ready to be stored.
#[derive(Debug)]
pub(crate) struct Prepared {
    drafts: Drafts,
    generations: Generations,
    /// What each of them needs of the documents, in the same order.
    writes: Vec<PreparedWrites>,
}

/// Documents as one generation stores them.
#[derive(Debug)]
pub(super) struct PreparedWrites {
    pub(super) writes: Vec<SharedWrite>,
    accounts: Vec<Account>,
}

/// What is known about a document before it is stored.
#[derive(Debug)]
struct Account {
    passages: usize,
    warnings: Vec<Warning>,
    encoded: EncodedPassages,
}

impl PreparedWrites {
    /// What was encoded for them.
    pub(super) fn encoded(&self) -> EncodedPassages {
        self.accounts.iter().map(|account| account.encoded).sum()
    }
}

/// Why a text has no vector.
const KNOWS_NO_WORD: &str =
    "the model knows no word of this text, or of one of its passages, and so makes no vector of it";

/// What a draft needs.
enum Step {
    /// Nothing new to encode; it has this many passages.
    Keep(usize),
    Encode(ChunkedText),
}

impl Prepared {
    /// The documents, in order.
    pub(crate) fn drafts(&self) -> Drafts {
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
    collection: &Arc<Writer>,
    drafts: Drafts,
    on_duplicate: Option<OnDuplicate>,
    admission: Admission,
) -> Result<Vec<DocumentOutcome>, ApiError> {
    let prepared = prepare(engine, collection, drafts, admission).await?;
    commit(engine, collection, prepared, on_duplicate, admission).await
}

/// The first half: finds what is new and encodes it. Nothing is stored yet.
///
/// # Errors
/// As [`ingest`].
pub(crate) async fn prepare(
    engine: &Engine,
    collection: &Arc<Writer>,
    drafts: Drafts,
    admission: Admission,
) -> Result<Prepared, ApiError> {
    let generations = collection.generations()?;
    let mut writes = Vec::new();
    for writer in generations.writers() {
        writes.push(prepare_for(engine, &writer, &drafts, admission).await?);
    }
    Ok(Prepared {
        drafts,
        generations,
        writes,
    })
}

/// The same for one generation.
///
/// # Errors
/// As [`ingest`].
pub(super) async fn prepare_for(
    engine: &Engine,
    writer: &Arc<Writer>,
    drafts: &Drafts,
    admission: Admission,
) -> Result<PreparedWrites, ApiError> {
    let encoder = engine.models.encoder_of(&*writer.reader()).await?;
    let mut steps = plan(engine, &encoder, writer, drafts).await?;
    let tokenized = steps.iter_mut().flat_map(Step::take_tokenized).collect();
    let embeddings = engine
        .embed_tokenized(&encoder, tokenized, Lane::Bulk, admission)
        .await?;
    let (writes, accounts) = writes(drafts, steps, embeddings);
    Ok(PreparedWrites { writes, accounts })
}

/// The second half: stores, and prepares again what another writer changed in between.
///
/// # Errors
/// As [`ingest`].
pub(crate) async fn commit(
    engine: &Engine,
    collection: &Arc<Writer>,
    mut prepared: Prepared,
    on_duplicate: Option<OnDuplicate>,
    admission: Admission,
) -> Result<Vec<DocumentOutcome>, ApiError> {
    let drafts = prepared.drafts();
    let mut stale = String::new();
    for _ in 0..MAX_PLANS {
        let Prepared {
            generations,
            writes,
            ..
        } = prepared;
        let writes = writes.into_iter().map(|it| (it.writes, it.accounts));
        let (mut writes, accounts): (Vec<_>, Vec<_>) = writes.unzip();
        let mut found = vec![None; drafts.len()];
        if let Some(own) = writes.first_mut() {
            let reader = generations.lead().reader();
            (*own, found) = resemblances(&reader, on_duplicate, std::mem::take(own)).await?;
        }
        let rejects = on_duplicate.is_some_and(|it| it.action == DuplicateAction::Reject);
        if rejects {
            for writes in &mut writes {
                let mut found = found.iter();
                writes.retain(|_| found.next().is_none_or(Option::is_none));
            }
        }
        match store(generations, writes).await? {
            Ok(Upserted { statuses, place }) => {
                let accounts = accounts.into_iter().nth(place).unwrap_or_default();
                let statuses = with_rejected(statuses, &found, rejects);
                return Ok(outcomes(&drafts, statuses, accounts, found));
            }
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
    generations: Generations,
    writes: Vec<Vec<SharedWrite>>,
) -> Result<Result<Upserted, String>, ApiError> {
    if writes.iter().all(Vec::is_empty) {
        return Ok(Ok(Upserted::default()));
    }
    blocking_write(move || match generations.upsert(&writes) {
        Ok(upserted) => Ok(Ok(upserted)),
        Err(IndexError::Stale { id }) => Ok(Err(id)),
        Err(error) => Err(error.into()),
    })
    .await
}

/// What each draft needs, in order; what is to be encoded has been split and tokenised.
async fn plan(
    engine: &Engine,
    encoder: &Arc<Encoder>,
    collection: &Arc<Writer>,
    drafts: &Drafts,
) -> Result<Vec<Step>, ApiError> {
    let (collection, drafts) = (Arc::clone(collection), Arc::clone(drafts));
    let (encoder, max_passages) = (Arc::clone(encoder), engine.max_passages_per_document);
    let _clock = Clock::start(telemetry::Step::Tokenize);
    blocking_steps(move |cancel| {
        let chunker = Chunker {
            cancel,
            encoder: &encoder,
            chunking: collection.reader().settings().chunking,
            max_passages,
        };
        let drafts = drafts.iter().enumerate();
        drafts
            .map(|(place, draft)| {
                cancel.step()?;
                let plans = collection.plan(std::slice::from_ref(&**draft))?;
                let plan = plans.into_iter().next();
                let plan = plan.ok_or_else(|| ApiError::internal("a draft has no plan"))?;
                step(&chunker, draft, plan, place)
            })
            .collect()
    })
    .await
}

fn step(
    chunker: &Chunker<'_>,
    draft: &DocumentDraft,
    plan: WritePlan,
    place: usize,
) -> Result<Step, ApiError> {
    match plan {
        WritePlan::Unchanged { passages } | WritePlan::MetadataOnly { passages } => {
            Ok(Step::Keep(passages))
        }
        WritePlan::Encode => {
            let about_text = |detail| ApiError::about(RequestPart::DocumentText(place), detail);
            let chunked = chunker.chunk(draft.title.as_deref(), &draft.text);
            let chunked = chunked.map_err(|error| match error {
                ChunkError::TooManyPassages { .. } => about_text(error.to_string()),
                ChunkError::Ended(error) => error,
                ChunkError::Encoder(error) => ApiError::internal(error),
            })?;
            // Static models put no special tokens around a text. Of none at all they make zeros.
            if chunked.tokenized.iter().any(|text| text.tokens_kept() == 0) {
                return Err(about_text(KNOWS_NO_WORD.to_owned()));
            }
            Ok(Step::Encode(chunked))
        }
    }
}

impl Step {
    fn take_tokenized(&mut self) -> Vec<TokenizedText> {
        match self {
            Self::Keep(_) => Vec::new(),
            Self::Encode(chunked) => std::mem::take(&mut chunked.tokenized),
        }
    }
}

fn writes(
    drafts: &[Arc<DocumentDraft>],
    steps: Vec<Step>,
    embeddings: Vec<Embedding>,
) -> (Vec<SharedWrite>, Vec<Account>) {
    let mut embeddings = embeddings.into_iter();
    let writes = drafts.iter().zip(steps).map(|(draft, step)| {
        let (passages, account) = match step {
            Step::Keep(passages) => (
                None,
                Account {
                    passages,
                    warnings: Vec::new(),
                    encoded: EncodedPassages::default(),
                },
            ),
            Step::Encode(chunked) => {
                let own: Vec<_> = embeddings.by_ref().take(chunked.spans.len()).collect();
                let account = Account {
                    passages: own.len(),
                    warnings: warnings(&chunked, &own),
                    encoded: EncodedPassages::of(&own),
                };
                (Some(passages(chunked, own)), account)
            }
        };
        let draft = Arc::clone(draft);
        (DocumentWrite { draft, passages }, account)
    });
    writes.unzip()
}

fn passages(chunked: ChunkedText, embeddings: Vec<Embedding>) -> Vec<NewPassage> {
    let passages = chunked.spans.into_iter().zip(embeddings);
    passages
        .map(|(span, embedding)| NewPassage {
            start: span.start,
            end: span.end,
            vector: embedding.vector,
        })
        .collect()
}

/// One warning of a kind is enough for a document.
fn warnings(chunked: &ChunkedText, embeddings: &[Embedding]) -> Vec<Warning> {
    let title = chunked
        .cut_title
        .map(|(seen, kept)| Warning::TitleTruncated { seen, kept });
    let text = embeddings.iter().find_map(truncation);
    title
        .into_iter()
        .chain(text)
        .chain(unknown(embeddings))
        .collect()
}

fn unknown(embeddings: &[Embedding]) -> Option<Warning> {
    let vocabulary: Vocabulary = embeddings
        .iter()
        .map(|embedding| embedding.vocabulary)
        .sum();
    vocabulary
        .is_mostly_unknown()
        .then_some(Warning::UnknownToModel {
            tokens: vocabulary.tokens,
            unknown: vocabulary.unknown_tokens,
        })
}

fn truncation(embedding: &Embedding) -> Option<Warning> {
    let (seen, kept) = (embedding.tokens_seen, embedding.tokens_kept);
    embedding
        .is_truncated()
        .then_some(Warning::Truncated { seen, kept })
}

/// The statuses of all documents, from those that were stored.
fn with_rejected(
    stored: Vec<UpsertStatus>,
    found: &[Option<Resemblance>],
    rejects: bool,
) -> Vec<WriteStatus> {
    let mut stored = stored.into_iter().map(WriteStatus::from);
    let status = |found: &Option<Resemblance>| match found {
        Some(_) if rejects => Some(WriteStatus::Rejected),
        _ => stored.next(),
    };
    found.iter().map_while(status).collect()
}

fn outcomes(
    drafts: &[Arc<DocumentDraft>],
    statuses: Vec<WriteStatus>,
    accounts: Vec<Account>,
    found: Vec<Option<Resemblance>>,
) -> Vec<DocumentOutcome> {
    let results = drafts.iter().zip(statuses).zip(accounts).zip(found);
    let outcomes = results.map(
        |(((draft, status), account), duplicate_of)| DocumentOutcome {
            id: draft.id.clone(),
            status,
            passages: match status {
                WriteStatus::Rejected => 0,
                _ => account.passages,
            },
            warnings: account.warnings,
            duplicate_of,
        },
    );
    let outcomes: Vec<_> = outcomes.collect();
    count(&outcomes);
    outcomes
}

fn count(outcomes: &[DocumentOutcome]) {
    for status in [
        WriteStatus::Created,
        WriteStatus::Updated,
        WriteStatus::Unchanged,
        WriteStatus::Rejected,
    ] {
        let documents = outcomes
            .iter()
            .filter(|outcome| outcome.status == status)
            .count();
        metrics::documents_written(status.label(), documents);
    }
}
