//! Hits on the wire, shared by every route that searches.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use siamese_index::{Hit, SearchResults, StoredDocument, StoredPassage};
use utoipa::ToSchema;

use super::facets::{FacetShape, facet_shapes};
use crate::service::SearchTimings;

/// Parts of a hit that are left out unless asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Include {
    /// The whole text of the document.
    Text,
    /// The document's metadata. What a request that says nothing gets.
    Metadata,
    /// All passages of the document, with their byte spans.
    Passages,
    /// The embedding of the best passage.
    Vector,
}

/// What a search found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchResponse {
    /// Best first.
    hits: Vec<HitShape>,
    total: TotalShape,
    /// For each field that was asked for, its values in the documents of `total`: the most
    /// frequent first, equally frequent ones in their order.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    facets: BTreeMap<String, Vec<FacetShape>>,
    /// Milliseconds from the request's arrival to the answer.
    took_ms: f64,
    timings: TimingsShape,
}

/// A document that was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HitShape {
    /// The document's id.
    id: String,
    /// Cosine of query and best passage, -1 to 1; higher is better.
    #[schema(example = 0.7312)]
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// The passage that matched best.
    passage: PassageShape,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<Vec<f32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passages: Option<Vec<SpanShape>>,
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

/// A passage's place.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpanShape {
    start: usize,
    end: usize,
}

/// How many documents match in all.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TotalShape {
    /// Documents in the collection that match: all that pass the filter, or with `min_score` those
    /// of them that reach it.
    value: u64,
    relation: TotalRelation,
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
}

/// How a search's results are laid out.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Hits to skip.
    pub(crate) offset: usize,
    /// Parts of the hits.
    pub(crate) include: Vec<Include>,
    /// The fields of the facets, as the request named them.
    pub(crate) facet_fields: Vec<String>,
}

impl SearchResponse {
    pub(crate) fn new(
        results: SearchResults,
        layout: Layout,
        timings: SearchTimings,
        took: std::time::Duration,
    ) -> Self {
        let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1000.0;
        let relation = if results.total.exact {
            TotalRelation::Exact
        } else {
            TotalRelation::LowerBound
        };
        let hits = results.hits.into_iter().skip(layout.offset);
        Self {
            hits: hits
                .map(|hit| HitShape::new(hit, &layout.include))
                .collect(),
            total: TotalShape {
                value: results.total.value,
                relation,
            },
            facets: facet_shapes(layout.facet_fields, results.facets),
            took_ms: ms(took),
            timings: TimingsShape {
                queue_ms: ms(timings.queued),
                encode_ms: ms(timings.encoding),
                search_ms: ms(timings.searching),
            },
        }
    }
}

impl HitShape {
    fn new(hit: Hit, include: &[Include]) -> Self {
        let with = |part| include.contains(&part);
        let passage = passage_of(&hit.document, &hit.passage);
        Self {
            score: hit.score,
            passage,
            vector: hit.passage.vector.filter(|_| with(Include::Vector)),
            passages: with(Include::Passages).then(|| {
                vec![SpanShape {
                    start: hit.passage.start,
                    end: hit.passage.end,
                }]
            }),
            id: hit.document.id,
            title: hit.document.title,
            text: with(Include::Text).then_some(hit.document.text),
            metadata: with(Include::Metadata).then_some(hit.document.metadata),
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
