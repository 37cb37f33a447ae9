//! Hits on the wire, shared by every route that searches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::ser::{self, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use siamese_index::{Filter, HitContent, HitParts, HitScores, StoredPassage, WordQuery};
use utoipa::ToSchema;

use super::explanation::ExplainResponse;
use super::facets::json_value;
use super::facets::{FacetShape, facet_shapes, others};
use crate::backend::Reader;
use crate::error::ApiError;
use crate::service::{Attempt, Counted, Grouping, Page, PageHit, highlights};

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
    /// What each word of `query` and of the passage gives to their cosine, for the first
    /// `limits.max_explained_hits` hits.
    Explanation,
}

impl Include {
    /// How many parts there are.
    pub(crate) const COUNT: usize = 6;
}

/// What a search found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchResponse {
    /// Best first.
    #[schema(value_type = Vec<HitShape>)]
    hits: Hits,
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
    #[schema(value_type = f64)]
    took_ms: Took,
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
    /// What words give to the cosine of `query` (`a`) and the passage above (`b`); of the first hits. A passage over
    /// `limits.max_explained_tokens` has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<ExplainResponse>,
    /// The value of the `group_by` field that names the hit's group: a string, a number, true, false or
    /// null. Of an array it is one element.
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

/// The time since a request arrived, as it is when it is written.
#[derive(Debug)]
struct Took(Instant);

impl Serialize for Took {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(milliseconds(self.0.elapsed()))
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Hits of which each is read when it is written, so that one document is in memory at a time.
#[derive(Debug)]
struct Hits {
    reader: HitReader,
    found: Vec<PageHit>,
    include: Vec<Include>,
    filter: Option<Filter>,
    group_by: Option<Grouping>,
    highlighted: Option<WordQuery>,
}

impl Serialize for Hits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut hits = serializer.serialize_seq(None)?;
        for found in self
            .found
            .chunks(self.reader.collection.hits_read_together())
        {
            let contents = self
                .read(found)
                .map_err(|error| self.stop(Stop::Failed(error)))?;
            for (found, content) in found.iter().zip(contents) {
                match content {
                    Some(content) => hits.serialize_element(&self.shape(found, content))?,
                    None if self.reader.attempt.is_last => {}
                    None => return Err(self.stop(Stop::Changed)),
                }
            }
        }
        hits.end()
    }
}

/// What hits are read with.
#[derive(Debug, Clone)]
pub(crate) struct HitReader {
    collection: Arc<Reader>,
    attempt: Attempt,
    stopped: Arc<Mutex<Option<Stop>>>,
}

/// Why hits were not written to the end.
#[derive(Debug)]
enum Stop {
    /// A document is no longer what was found.
    Changed,
    Failed(ApiError),
}

impl HitReader {
    pub(crate) fn new(collection: &Arc<Reader>, attempt: Attempt) -> Self {
        Self {
            collection: Arc::clone(collection),
            attempt,
            stopped: Arc::default(),
        }
    }

    /// The same for hits of another collection in the same answer.
    pub(crate) fn of(&self, collection: &Arc<Reader>) -> Self {
        Self {
            collection: Arc::clone(collection),
            ..self.clone()
        }
    }

    /// An answer with hits that this has read; nothing when a document was changed meanwhile, so that
    /// it has to be searched again.
    ///
    /// # Errors
    /// What reading or writing failed at.
    pub(crate) fn finish<T>(&self, answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        match stopped.take() {
            Some(Stop::Changed) => Ok(None),
            Some(Stop::Failed(error)) => Err(error),
            None => answer.map(Some),
        }
    }
}

/// How a search's results are laid out.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Parts of the hits.
    pub(crate) include: Vec<Include>,
    /// The fields of the facets, as the request named them.
    pub(crate) facet_fields: Vec<String>,
}

impl SearchResponse {
    pub(crate) fn new(page: Page, layout: Layout, reader: HitReader, started_at: Instant) -> Self {
        let relation = if page.total.exact {
            TotalRelation::Exact
        } else {
            TotalRelation::LowerBound
        };
        Self {
            hits: Hits {
                reader,
                found: page.hits,
                include: layout.include,
                filter: page.filter,
                group_by: page.group_by,
                highlighted: page.highlighted,
            },
            next_cursor: page.next_cursor,
            total: TotalShape {
                value: page.total.value,
                relation,
                counted: page.counted.into(),
            },
            facets_other: others(&layout.facet_fields, &page.facets),
            facets: facet_shapes(layout.facet_fields, page.facets),
            took_ms: Took(started_at),
            timings: TimingsShape {
                queue_ms: milliseconds(page.timings.queued),
                encode_ms: milliseconds(page.timings.encoding),
                search_ms: milliseconds(page.timings.searching),
                rerank_ms: page.timings.reranking.map(milliseconds),
            },
        }
    }
}

impl Hits {
    fn stop<E: ser::Error>(&self, stop: Stop) -> E {
        let stopped = &self.reader.stopped;
        *stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop);
        E::custom("a hit could not be read")
    }

    /// Reads what is asked for of these hits; nothing of one whose document is no longer what was found.
    fn read(&self, found: &[PageHit]) -> Result<Vec<Option<HitContent>>, ApiError> {
        let with = |part| self.include.contains(&part);
        let passages = found.iter().map(|found| {
            let passages = found.passages.iter();
            passages.map(|scored| scored.passage.clone()).collect()
        });
        let passages: Vec<Vec<StoredPassage>> = passages.collect();
        let hits = found.iter().zip(&passages).map(|(found, passages)| {
            let parts = HitParts {
                text: with(Include::Text),
                metadata: with(Include::Metadata) || self.group_by.is_some(),
                vector: with(Include::Vector),
                passages,
                filter: self.filter.as_ref(),
            };
            (&found.hit, parts)
        });
        let hits: Vec<_> = hits.collect();
        Ok(self.reader.collection.read_hits(&hits)?)
    }

    fn shape(&self, found: &PageHit, content: HitContent) -> HitShape {
        let with = |part| self.include.contains(&part);
        let hit = &found.hit;
        let passage = PassageShape {
            text: content.passage_text,
            start: content.passage.start,
            end: content.passage.end,
        };
        let marked = |words: &WordQuery| {
            let ranges = highlights(words, &passage.text, passage.start).into_iter();
            let shapes = ranges.map(|range| HighlightShape {
                start: range.start,
                end: range.end,
            });
            shapes.collect()
        };
        let scored = found.passages.iter().zip(content.passage_texts);
        let passages = scored.map(|(scored, text)| ScoredPassageShape {
            score: scored.score,
            passage: PassageShape {
                text,
                start: scored.passage.start,
                end: scored.passage.end,
            },
        });
        let grouping = self.group_by.as_ref().zip(content.metadata.as_ref());
        HitShape {
            id: hit.id.clone(),
            score: hit.score,
            first_score: found.first_score,
            scores: hit.scores.map(ScoresShape::from),
            title: content.title,
            highlights: self.highlighted.as_ref().map(marked),
            passages: with(Include::Passages).then(|| passages.collect()),
            vector: content.passage.vector,
            text: content.text,
            group: grouping
                .and_then(|(by, metadata)| by.group(found, metadata))
                .map(|group| json_value(&group)),
            metadata: content.metadata.filter(|_| with(Include::Metadata)),
            explanation: found
                .explanation
                .as_ref()
                .map(|explanation| ExplainResponse::new(explanation, false)),
            passage,
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
