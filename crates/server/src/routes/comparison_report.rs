//! What a comparison of two generations says.

use serde::Serialize;
use siamese_eval::{Distribution, Run, Scores};
use utoipa::ToSchema;

use super::chunking::ChunkingShape;
use super::collections::CollectionEncoderShape;
use crate::service::{Change, Mode, PassageSample, RANK_BIAS, Report, SideReport};

/// Two generations beside each other.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ComparisonReport {
    /// Queries that both were asked.
    queries: usize,
    /// By what was searched.
    #[schema(example = "semantic")]
    mode: &'static str,
    /// Hits whose overlap is counted.
    top_k: usize,
    /// The share of the first `top_k` hits that both have, as a mean over queries; 0 to 1.
    overlap: f64,
    /// Rank-biased overlap of their lists of up to 100 hits, extrapolated, as a mean over queries; 0 to 1 (Webber,
    /// Moffat and Zobel, 2010).
    rank_biased_overlap: f64,
    /// Its `p`: with 0.9, the first ten ranks have 86 % of the weight.
    rank_bias: f64,
    /// Queries whose nDCG@10 is higher in the other generation; with judgements.
    #[serde(skip_serializing_if = "Option::is_none")]
    better: Option<usize>,
    /// Queries whose nDCG@10 is lower there.
    #[serde(skip_serializing_if = "Option::is_none")]
    worse: Option<usize>,
    /// The active generation.
    active: ComparedSide,
    /// The one that was compared with it.
    other: ComparedSide,
    /// The queries whose answers change most, the worst first: with judgements those that lose most nDCG@10, then
    /// those whose lists agree least. In the answer of a job they are in `GET /jobs/{id}/result`.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<ChangedQuery>>,
    /// Milliseconds that all took.
    took_ms: f64,
}

/// One of two generations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ComparedSide {
    /// Its number.
    generation: u32,
    encoder: CollectionEncoderShape,
    chunking: ChunkingShape,
    /// Documents in it.
    documents: u64,
    /// Passages in it; each has one vector.
    passages: u64,
    /// Bytes of its indexes on the disk.
    index_bytes: u64,
    /// Bytes of its vectors in the record.
    vector_bytes: u64,
    /// How good its answers are; with judgements.
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<Quality>,
    scores: HitScoreSpread,
    latency: QueryLatency,
    /// Tokens of a query, as a mean.
    query_tokens: f64,
    /// What the first documents have become, where anything is encoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<SampledPassages>,
}

/// Figures of answers, as trec_eval computes them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Quality {
    /// Queries with a relevant document.
    queries: usize,
    /// Discounted cumulative gain of the first ten hits, divided by that of the best order.
    ndcg_at_10: f64,
    /// One over the rank of the first relevant one among the first ten.
    mrr_at_10: f64,
    /// Part of the relevant ones that are among the first ten.
    recall_at_10: f64,
    /// Part of the relevant ones that are among the first hundred.
    recall_at_100: f64,
}

/// How scores are spread. Those of two encoders are no measure of each other.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HitScoreSpread {
    /// Of the first hit of each query.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<Spread>,
    /// Of hit number `top_k`.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Spread>,
}

/// Milliseconds of a query.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueryLatency {
    /// Of its forward pass, behind whatever else the encoder has to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    encode_ms: Option<Spread>,
    /// Of its search for 100 hits.
    #[serde(skip_serializing_if = "Option::is_none")]
    search_ms: Option<Spread>,
}

/// How numbers are spread; quantiles are numbers of the list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Spread {
    mean: f64,
    min: f64,
    p10: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

/// The first documents of a generation, up to 200 or 1 MiB.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SampledPassages {
    /// Documents that were looked at.
    documents: usize,
    /// Their passages.
    passages: usize,
    /// Tokens of these passages that were encoded.
    tokens: usize,
    /// Passages that are longer than the encoder's window, so that their ends were not encoded.
    cut_passages: usize,
}

/// A query whose answer changes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangedQuery {
    query: String,
    /// As in the report, of this query.
    overlap: f64,
    /// As in the report, of this query.
    rank_biased_overlap: f64,
    /// With judgements.
    #[serde(skip_serializing_if = "Option::is_none")]
    ndcg_at_10: Option<NdcgOfBoth>,
    /// First hits of the active generation.
    active: Vec<ComparedHit>,
    /// First hits of the other one.
    other: Vec<ComparedHit>,
}

/// nDCG@10 of a query.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NdcgOfBoth {
    active: f64,
    other: f64,
}

/// A hit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ComparedHit {
    id: String,
    score: f32,
}

impl ComparisonReport {
    /// The report, and the queries that change most.
    pub(super) fn new(report: Report, mode: Mode, top_k: usize) -> (Self, Vec<ChangedQuery>) {
        let [active, other] = report.sides.map(ComparedSide::from);
        let is_judged = active.quality.is_some();
        let summary = Self {
            queries: report.queries,
            mode: match mode {
                Mode::Semantic => "semantic",
                Mode::Lexical => "lexical",
                Mode::Hybrid(_) => "hybrid",
            },
            top_k,
            overlap: report.overlap,
            rank_biased_overlap: report.rank_biased_overlap,
            rank_bias: RANK_BIAS,
            better: is_judged.then_some(report.better),
            worse: is_judged.then_some(report.worse),
            active,
            other,
            changed: None,
            took_ms: report.took.as_secs_f64() * 1e3,
        };
        let changed = report.changes.into_iter().map(ChangedQuery::from).collect();
        (summary, changed)
    }

    pub(super) fn with(self, changed: Vec<ChangedQuery>) -> Self {
        Self {
            changed: Some(changed),
            ..self
        }
    }
}

impl From<SideReport> for ComparedSide {
    fn from(side: SideReport) -> Self {
        let reader = side.generation.collection.reader();
        let stats = reader.stats();
        let vector_bytes = (reader.dimensions() * size_of::<f32>()) as u64;
        Self {
            generation: side.generation.number,
            encoder: CollectionEncoderShape::of(&**reader),
            chunking: reader.settings().chunking.into(),
            documents: stats.documents,
            passages: stats.passages,
            index_bytes: stats.segment_bytes + stats.lexical_bytes,
            vector_bytes: stats.passages * vector_bytes,
            quality: side.quality.map(Quality::from),
            scores: HitScoreSpread {
                first: side.first.map(Spread::from),
                last: side.last.map(Spread::from),
            },
            latency: QueryLatency {
                encode_ms: side.encoding_ms.map(Spread::from),
                search_ms: side.searching_ms.map(Spread::from),
            },
            query_tokens: side.query_tokens,
            sample: side.sample.map(SampledPassages::from),
        }
    }
}

impl From<Scores> for Quality {
    fn from(scores: Scores) -> Self {
        Self {
            queries: scores.queries,
            ndcg_at_10: scores.ndcg_at_10,
            mrr_at_10: scores.mrr_at_10,
            recall_at_10: scores.recall_at_10,
            recall_at_100: scores.recall_at_100,
        }
    }
}

impl From<Distribution> for Spread {
    fn from(spread: Distribution) -> Self {
        Self {
            mean: spread.mean,
            min: spread.min,
            p10: spread.p10,
            p50: spread.p50,
            p90: spread.p90,
            p99: spread.p99,
            max: spread.max,
        }
    }
}

impl From<PassageSample> for SampledPassages {
    fn from(sample: PassageSample) -> Self {
        Self {
            documents: sample.documents,
            passages: sample.passages,
            tokens: sample.tokens,
            cut_passages: sample.cut,
        }
    }
}

impl From<Change> for ChangedQuery {
    fn from(change: Change) -> Self {
        let [active, other] = change.hits.map(hits);
        Self {
            query: change.query,
            overlap: change.overlap,
            rank_biased_overlap: change.rank_biased_overlap,
            ndcg_at_10: change
                .ndcg_at_10
                .map(|[active, other]| NdcgOfBoth { active, other }),
            active,
            other,
        }
    }
}

fn hits(run: Run) -> Vec<ComparedHit> {
    let hits = run.into_iter();
    hits.map(|(id, score)| ComparedHit {
        id,
        score: score as f32,
    })
    .collect()
}
