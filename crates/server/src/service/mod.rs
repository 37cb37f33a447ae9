//! Where text meets vectors: the paths of an ingest, a search and a comparison.
//!
//! Only here are index and tokenizer called, and only on blocking threads.

mod chunking;
#[cfg(feature = "qdrant")]
mod cluster_filling;
mod comparison;
mod embed_texts;
mod embedding;
mod encoded_passages;
mod explanation;
mod file_stream;
mod generations;
mod ingest;
mod ingest_stream;
mod lines;
mod metrics_text;
mod on_duplicate;
mod query_cache;
mod recent_queries;
mod reranking;
mod search;
mod similarity;
mod training_pairs;

pub(crate) use chunking::{
    ChunkError, Chunker, default_chunking, default_overlap, default_passage_tokens,
    min_passage_tokens, window, with_title,
};
pub(crate) use comparison::{
    Change, ComparedGenerations, ComparedQuery, Comparison, ComparisonTask, PassageSample,
    RANK_BIAS, Report, SideReport,
};
pub(crate) use embed_texts::{
    EmbedTask, Prompt, TextEmbedding, TextInput, TokenStates, check_token_ids, embed_texts,
    token_states,
};
pub(crate) use embedding::{Embedding, Vocabulary};
pub(crate) use explanation::{
    DEFAULT_PAIRS, ExplainTask, ExplainedItem, ExplainedSide, Explanation, explain,
};
pub(crate) use file_stream::file_stream;
pub(crate) use generations::{fill_job, resume_all};
pub(crate) use ingest::{DocumentOutcome, Drafts, Warning, WriteStatus, ingest};
pub(crate) use ingest_stream::{StreamEvent, ingest_stream};
#[cfg(any(test, fuzzing))]
pub(crate) use lines::{End, Line, LineReader};
pub(crate) use metrics_text::metrics_text;
pub(crate) use on_duplicate::DuplicateRule;
pub(crate) use query_cache::{QueryCache, QueryCacheUse};
pub(crate) use recent_queries::RecentQueries;
pub(crate) use reranking::{OverWindow, PairScore, RerankTask, RerankTexts};
pub(crate) use search::{
    Attempt, Choice, Counted, Cursors, ExplainFirst, Grouping, Mode, Page, PageHit, QueryInput,
    Rerank, Search, SearchIn, highlights, search,
};
pub(crate) use similarity::{Compared, Metric, Operand, compared};
pub(crate) use training_pairs::{PairLine, PairPlan, PairSources, plan};

pub(crate) use crate::blocking::{Cancel, blocking, blocking_steps, blocking_write};
use crate::error::ApiError;

/// Texts that are tokenised without asking whether somebody still waits for them.
const TEXTS_OF_STEP: usize = 16;

/// Applies `work` to texts of so many bytes, a few at a time, for as long as somebody waits.
///
/// # Errors
/// What `work` returns.
fn in_steps<I, T>(
    texts: &[I],
    bytes: impl Fn(&I) -> usize,
    cancel: &Cancel,
    work: impl Fn(&[I]) -> Result<Vec<T>, ApiError>,
) -> Result<Vec<T>, ApiError> {
    let mut done = Vec::with_capacity(texts.len());
    for step in texts.chunks(TEXTS_OF_STEP) {
        cancel.step_over_text(step.iter().map(&bytes).sum())?;
        done.extend(work(step)?);
    }
    Ok(done)
}
