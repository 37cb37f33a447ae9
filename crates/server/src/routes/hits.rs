//! Hits on the wire, shared by every route that searches.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use siamese_index::{HitScores, ScoredPassage, StoredDocument, StoredPassage};
use utoipa::ToSchema;

use super::facets::{FacetShape, facet_shapes, others};
use crate::service::{Counted, Found, FoundHit};

/// Parts of a hit that are left out unless asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Include {
    /// The whole text of the document.
    Text,
    /// The document's metadata. What a request that says nothing gets.
    Metadata,
    /// The best passages of the document with their scores, at most
    /// `limits.max_passages_per_hit`.
    Passages,
    /// The embedding of the best passage.
    Vector,
    /// Where words of `query` stand in the passage.
    Highlights,
}

impl Include {
    /// How many parts there are.
    pub(crate) const COUNT: usize = 5;
}

/// What a search found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchResponse {
    /// Best first.
    hits: Vec<HitShape>,
    /// Give it as `cursor` with the same search for the next hits; absent when there are none. With
    /// `group_by`, or a total that is a lower bound, the page that follows may be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    total: TotalShape,
    /// For each field that was asked for, its values in the documents of `total`: the most
    /// frequent first, equally frequent ones in their order.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    facets: BTreeMap<String, Vec<FacetShape>>,
    /// For each of these fields, how many documents of `total` have a value there that is not among
    /// the returned ones; 0 when all values are returned.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    facets_other: BTreeMap<String, u64>,
    /// Milliseconds from the request's arrival to the answer.
    took_ms: f64,
    timings: TimingsShape,
}

/// A document that was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HitShape {
    /// The document's id.
    id: String,
    /// Cosine of query and best passage, -1 to 1; in mode `lexical` the BM25 score; in mode `hybrid`
    /// the fused score; with `rerank` what the reranker says. Higher is better.
    #[schema(example = 0.7312)]
    score: f32,
    /// With `rerank`: the score by which the hit was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_score: Option<f32>,
    /// In mode `hybrid`: the scores by either side.
    #[serde(skip_serializing_if = "Option::is_none")]
    scores: Option<ScoresShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// The passage that matched best; in mode `hybrid`, by the side that ranks the document higher.
    passage: PassageShape,
    /// Where words of `query` stand in this passage, from first to last.
    #[serde(skip_serializing_if = "Option::is_none")]
    highlights: Option<Vec<HighlightShape>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<Vec<f32>>,
    /// The best passages, best first; the first is the one above. In mode `lexical`, only those with
    /// a word of `query`.
    #[serde(skip_serializing_if = "Option::is_none")]
    passages: Option<Vec<ScoredPassageShape>>,
    /// The value of the `group_by` field: a string, number or boolean.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Value>,
}

/// What a fused score is made of.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct ScoresShape {
    /// Cosine of query and nearest passage, -1 to 1.
    semantic: f32,
    /// BM25 score of the best passage by words; 0 if none has any.
    lexical: f32,
}

/// A word in the document's text.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct HighlightShape {
    /// Its first byte in the document's text.
    start: usize,
    /// The byte after its last.
    end: usize,
}

/// A passage with its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PassageShape {
    text: String,
    /// First byte of the passage in the document's text.
    start: usize,
    /// The byte after its last.
    end: usize,
}

/// A passage with its score.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScoredPassageShape {
    /// Cosine of query and passage, -1 to 1; in mode `lexical` the BM25 score. Higher is better.
    score: f32,
    #[serde(flatten)]
    passage: PassageShape,
}

/// How many documents match in all.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TotalShape {
    /// Documents in the collection that match.
    value: u64,
    relation: TotalRelation,
    counted: TotalCounted,
}

/// Which documents a total counts, and facets with it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TotalCounted {
    /// All that pass the filter.
    PassingFilter,
    /// Those of them that have a word of `query`: in mode `lexical`.
    HavingWords,
    /// Those of them that reach `min_score`.
    ReachingScore,
}

impl From<Counted> for TotalCounted {
    fn from(counted: Counted) -> Self {
        match counted {
            Counted::PassingFilter => Self::PassingFilter,
            Counted::HavingWords => Self::HavingWords,
            Counted::ReachingScore => Self::ReachingScore,
        }
    }
}

/// What a total says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TotalRelation {
    /// The value is the number.
    Exact,
    /// There are at least that many.
    LowerBound,
}

/// Where the time went, milliseconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimingsShape {
    /// Waiting for the encoder.
    queue_ms: f64,
    /// The forward pass.
    encode_ms: f64,
    /// The index.
    search_ms: f64,
    /// With `rerank`: the second stage, waiting for the reranker included.
    #[serde(skip_serializing_if = "Option::is_none")]
    rerank_ms: Option<f64>,
}

/// How a search's results are laid out.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Parts of the hits.
    pub(crate) include: Vec<Include>,
    /// The fields of the facets, as the request named them.
    pub(crate) facet_fields: Vec<String>,
}

impl SearchResponse {
    pub(crate) fn new(found: Found, layout: Layout, took: std::time::Duration) -> Self {
        let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1000.0;
        let relation = if found.total.exact {
            TotalRelation::Exact
        } else {
            TotalRelation::LowerBound
        };
        let hits = found.hits.into_iter();
        Self {
            hits: hits
                .map(|hit| HitShape::new(hit, &layout.include))
                .collect(),
            next_cursor: found.next_cursor,
            total: TotalShape {
                value: found.total.value,
                relation,
                counted: found.counted.into(),
            },
            facets_other: others(&layout.facet_fields, &found.facets),
            facets: facet_shapes(layout.facet_fields, found.facets),
            took_ms: ms(took),
            timings: TimingsShape {
                queue_ms: ms(found.timings.queued),
                encode_ms: ms(found.timings.encoding),
                search_ms: ms(found.timings.searching),
                rerank_ms: found.timings.reranking.map(ms),
            },
        }
    }
}

impl HitShape {
    fn new(found: FoundHit, include: &[Include]) -> Self {
        let with = |part| include.contains(&part);
        let FoundHit {
            hit,
            first_score,
            group,
            passages,
            highlights,
        } = found;
        let shape = |scored: ScoredPassage| ScoredPassageShape {
            score: scored.score,
            passage: passage_of(&hit.document, &scored.passage),
        };
        let passages = passages.into_iter().map(shape).collect();
        let highlights = highlights.into_iter().map(|range| HighlightShape {
            start: range.start,
            end: range.end,
        });
        Self {
            score: hit.score,
            first_score,
            scores: hit.scores.map(ScoresShape::from),
            highlights: Some(highlights.collect()).filter(|_| with(Include::Highlights)),
            passage: passage_of(&hit.document, &hit.passage),
            passages: Some(passages).filter(|_| with(Include::Passages)),
            vector: hit.passage.vector.filter(|_| with(Include::Vector)),
            id: hit.document.id,
            title: hit.document.title,
            text: with(Include::Text).then_some(hit.document.text),
            metadata: with(Include::Metadata).then_some(hit.document.metadata),
            group,
        }
    }
}

impl From<HitScores> for ScoresShape {
    fn from(scores: HitScores) -> Self {
        Self {
            semantic: scores.semantic,
            lexical: scores.lexical,
        }
    }
}

fn passage_of(document: &StoredDocument, passage: &StoredPassage) -> PassageShape {
    PassageShape {
        text: document
            .text
            .get(passage.start..passage.end)
            .unwrap_or_default()
            .to_owned(),
        start: passage.start,
        end: passage.end,
    }
}
