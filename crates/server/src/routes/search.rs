//! `POST /search`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use siamese_index::{FieldPath, GraphSettings, SearchOptions};
use utoipa::ToSchema;

use super::documents::{check_id, check_text};
use super::facets::read_facets;
use super::filter::FilterShape;
use super::hits::{HitReader, Include, Layout, SearchResponse};
use super::item::Item;
use super::mode::ModeShape;
use super::problems::{BodyProblems, CursorProblems, EngineProblems, SearchProblems};
use super::rerank::RerankWish;
use crate::access::CollectionName;
use crate::answer;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, ListLimit, from_object_only, present, whole_number};
use crate::service::{
    self, Attempt, Choice, ExplainFirst, Grouping, Mode, Page, QueryInput, Search, SearchIn,
};

const DEFAULT_TOP_K: usize = 10;
/// Bytes of the path of a metadata field.
const MAX_FIELD_BYTES: usize = 512;

/// A search: exactly one of `query`, `vector`, `id` and `positive`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct SearchRequest {
    /// Text to search for, by meaning or as `mode` says.
    #[serde(default, deserialize_with = "present")]
    #[schema(
        nullable = false,
        min_length = 1,
        pattern = r"\S",
        example = "I cannot sign in any more"
    )]
    pub(super) query: Option<String>,
    /// An embedding of the encoder's dimensions, not all zero.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_items = 1)]
    vector: Option<Vec<f32>>,
    /// A stored document to find more like; it is left out itself.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 512)]
    id: Option<String>,
    /// Items to find more like: the search goes towards the mean of their vectors. Stored documents
    /// are left out themselves.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_items = 1, max_items = 100)]
    positive: Option<Vec<Item>>,
    /// Beside `positive`: items to keep away from. Stored documents are left out themselves.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_items = 100)]
    negative: Option<Vec<Item>>,
    /// By what to search; modes other than `semantic` need `query`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, default = "semantic")]
    pub(super) mode: Option<ModeShape>,
    /// Beside mode `hybrid`: the score is `alpha` times the cosine plus `1 - alpha` times the BM25
    /// score, each scaled to 0 to 1 over the best documents of both sides. Without it, ranks are
    /// fused (reciprocal rank fusion, k = 60).
    #[schema(minimum = 0, maximum = 1)]
    pub(super) alpha: Option<f32>,
    /// Hits to return; at most `limits.max_top_k`.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 1000, default = 10)]
    top_k: Option<usize>,
    /// Hits to skip; at most `limits.max_offset`.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 0, maximum = 10000, default = 0)]
    offset: Option<usize>,
    /// `next_cursor` of the page before: go on after the hits that have been returned. The search
    /// must be the same but for `top_k`, `facets` and `include`. Not beside `offset` and `auto_cut`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 32, max_length = 36)]
    cursor: Option<String>,
    /// The number of a generation of the collection, to look at one that is not active; one that is being filled has
    /// only what it has so far.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1)]
    generation: Option<u32>,
    /// Leave out documents that score less: a cosine of -1 to 1, also in mode `hybrid`; in mode
    /// `lexical` a BM25 score, 0 or more.
    #[schema(minimum = -1, maximum = 1000000)]
    pub(super) min_score: Option<f32>,
    /// Only documents whose metadata passes are searched and counted.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    filter: Option<FilterShape>,
    /// Fields of the metadata whose values are counted over all documents of `total`, returned or
    /// not; at most `limits.max_facets`, each with its `limits.max_facet_values` most frequent
    /// values.
    #[schema(max_items = 16, example = json!(["status"]))]
    facets: Option<Vec<String>>,
    /// Trade nearness to the query for distance between hits: 0 keeps the order of scores, 1
    /// looks at distance alone (maximal marginal relevance). Hits come in the order of choice. Beside
    /// mode `semantic`.
    #[schema(minimum = 0, maximum = 1)]
    pub(super) diversity: Option<f32>,
    /// Path of a metadata field, as in filters: at most `group_size` hits for each of its values. Of an
    /// array each element is a value, and the document a hit of the first that has room. Documents
    /// without a value there are left out, but counted in `total`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 512, example = "author")]
    group_by: Option<String>,
    /// Hits of one group; beside `group_by`.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 1000, default = 1)]
    group_size: Option<usize>,
    /// End the list before the largest gap between scores, if it is at least twice as wide as the
    /// average one. Not beside `diversity`, `offset`, or mode `hybrid` without
    /// `alpha` and `rerank`.
    #[serde(default)]
    pub(super) auto_cut: bool,
    /// Score the first hits again by the reranker, and return them in the new order. Beside `query`
    /// only, and not beside `diversity`. `filter`, `min_score`, `group_by`, `facets` and `total` are
    /// those of the first stage; `auto_cut` looks at the new scores.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub(super) rerank: Option<RerankWish>,
    /// Score every vector instead of those that the index leads to: slower, and never misses.
    #[serde(default)]
    #[schema(default = false)]
    exact: bool,
    /// Candidates that the walk over the index keeps; more find more and take longer. Without it,
    /// the collection's `ef_search`, and up to 16 times as many for a query that has little to
    /// do with the documents. Not beside mode `lexical`.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 10000)]
    pub(super) ef: Option<usize>,
    /// Parts of the hits; without it, the metadata.
    #[schema(max_items = 6)]
    include: Option<Vec<Include>>,
}

from_object_only!(SearchRequest);

impl JsonBody for SearchRequest {
    type Checked = (Search, Layout);

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        Self::lists_at(["/positive", "/negative", "/facets"], limits)
    }

    fn check(mut self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        let top_k = self.top_k.unwrap_or(DEFAULT_TOP_K.min(limits.max_top_k));
        in_range("/top_k", top_k, 1, limits.max_top_k, "limits.max_top_k")?;
        let offset = self.offset.unwrap_or(0);
        in_range("/offset", offset, 0, limits.max_offset, "limits.max_offset")?;
        let mode = self.mode()?;
        let choice = self.choice(top_k, offset, limits)?;
        self.check_cursor(offset)?;
        let rerank = self.rerank.take();
        let rerank = rerank.map(|wish| wish.checked(offset + top_k, &choice, limits));
        let rerank = rerank.transpose()?;
        let filter = self.filter.take();
        let filter = filter.map(|filter| filter.read(limits, "/filter"));
        let facet_fields = self.facets.take().unwrap_or_default();
        if let Some(ef) = self.ef {
            GraphSettings::check_ef(ef)
                .map_err(|error| ApiError::invalid("/ef", error.to_string()))?;
        }
        let options = SearchOptions {
            min_score: self.min_score,
            filter: filter.transpose()?,
            facets: read_facets(&facet_fields, limits)?,
            exact: self.exact,
            ef: self.ef,
            ..SearchOptions::default()
        };
        let include = self
            .include
            .take()
            .unwrap_or_else(|| vec![Include::Metadata]);
        in_range(
            "/include",
            include.len(),
            0,
            Include::COUNT,
            "the number of parts",
        )?;
        let passages_per_hit = passages_per_hit(&include, top_k, limits)?;
        if let (Some(rerank), 1..) = (rerank, passages_per_hit) {
            super::rerank::check_passages(rerank, limits)?;
        }
        let highlights = include.contains(&Include::Highlights);
        if highlights && self.query.is_none() {
            let detail = "highlights mark the words of query, which is absent";
            return Err(ApiError::invalid("/include", detail));
        }
        let explain = self.explain(&include, mode, limits)?;
        let (cursor, generation) = (self.cursor.take(), self.generation);
        let search = Search {
            query: self.query_input(limits)?,
            mode,
            options,
            top_k,
            offset,
            cursor,
            generation,
            passages_per_hit,
            highlights,
            choice,
            rerank,
            explain,
        };
        let layout = Layout {
            include,
            facet_fields,
        };
        Ok((search, layout))
    }
}

/// Search by meaning, by words, or by both.
///
/// Hits are documents, ranked by their best passage.
#[utoipa::path(
    post, path = "/search", operation_id = "search", tag = "search",
    request_body = SearchRequest,
    responses(
        (status = 200, body = SearchResponse),
        BodyProblems, SearchProblems, CursorProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    collection: CollectionName,
    ApiJson((search, layout)): ApiJson<SearchRequest>,
) -> Result<Response, ApiError> {
    answer(&app, &collection, search, layout).await
}

/// The answer to a search in a collection.
///
/// # Errors
/// 404 for a collection or a document that is not there, and as [`service::search`].
pub(super) async fn answer(
    app: &App,
    collection: &CollectionName,
    search: Search,
    layout: Layout,
) -> Result<Response, ApiError> {
    let started_at = Instant::now();
    let engine = app.engine()?;
    let called = (**collection).into();
    let collection = engine.reader_of(collection, search.generation)?;
    let (answering, of) = (app.clone(), Arc::clone(&collection));
    let render = move |pages: Vec<Page>, attempt: Attempt| {
        let room = answering.room().until(&attempt.cancel);
        let reader = HitReader::new(&of, attempt);
        let page = pages.into_iter().next();
        let page = page.ok_or_else(|| ApiError::internal("a search has no answer"))?;
        let response = SearchResponse::new(page, layout.clone(), reader.clone(), started_at);
        reader.finish(answer::json(room, &response))
    };
    let search = SearchIn {
        collection,
        called,
        search,
    };
    service::search(engine, vec![search], app.room(), render).await
}

impl SearchRequest {
    /// Which hits to explain.
    fn explain(
        &self,
        include: &[Include],
        mode: Mode,
        limits: &Limits,
    ) -> Result<Option<ExplainFirst>, ApiError> {
        if !include.contains(&Include::Explanation) {
            return Ok(None);
        }
        let detail = if self.query.is_none() {
            "explanations compare the words of query, which is absent"
        } else if mode == Mode::Lexical {
            "explanations take cosines apart, so they do not go with mode lexical"
        } else {
            return Ok(Some(ExplainFirst {
                hits: limits.max_explained_hits,
                max_tokens: limits.max_explained_tokens,
            }));
        };
        Err(ApiError::invalid("/include", detail))
    }

    /// How long the lists may be that stand at these pointers.
    pub(super) fn lists_at(
        [positive, negative, facets]: [&'static str; 3],
        limits: &Limits,
    ) -> Vec<ListLimit> {
        let list = |pointer, items, max, limit| ListLimit::new(pointer, items, max, limit);
        let (examples, limit) = (limits.max_search_examples, "limits.max_search_examples");
        vec![
            list(positive, "items", examples, limit),
            list(negative, "items", examples, limit),
            list(facets, "facets", limits.max_facets, "limits.max_facets"),
        ]
    }

    fn check_cursor(&self, offset: usize) -> Result<(), ApiError> {
        let refused = |detail| Err(ApiError::invalid("/cursor", detail));
        if self.cursor.is_some() && offset > 0 {
            return refused(
                "a cursor goes on after the hits before it, so it does not go with offset",
            );
        }
        if self.cursor.is_some() && self.auto_cut {
            return refused(
                "a list that auto_cut ends has one page, so it does not go with cursor",
            );
        }
        Ok(())
    }

    /// How many hits are asked for.
    pub(super) fn top_k(&self) -> usize {
        self.top_k.unwrap_or(DEFAULT_TOP_K)
    }

    fn choice(&self, top_k: usize, offset: usize, limits: &Limits) -> Result<Choice, ApiError> {
        within("/diversity", self.diversity, 0.0, 1.0)?;
        let max = limits.max_diversity_candidates;
        if self.diversity.is_some() && top_k + offset > max {
            let detail = format!(
                "top_k and offset are {} together; beside diversity, up to limits.max_diversity_candidates = {max} are allowed",
                top_k + offset
            );
            return Err(ApiError::invalid("/diversity", detail));
        }
        if self.auto_cut && self.diversity.is_some() {
            let detail = "auto_cut looks at gaps between scores, whose order diversity changes";
            return Err(ApiError::invalid("/auto_cut", detail));
        }
        if self.auto_cut && offset > 0 {
            let detail = "auto_cut needs the list from its start, so it does not go with offset";
            return Err(ApiError::invalid("/auto_cut", detail));
        }
        Ok(Choice {
            diversity: self.diversity,
            group_by: self.grouping(limits)?,
            auto_cut: self.auto_cut,
            max_diversity_candidates: max,
            max_group_candidates: limits.max_group_candidates,
        })
    }

    fn grouping(&self, limits: &Limits) -> Result<Option<Grouping>, ApiError> {
        let Some(field) = self.group_by.clone() else {
            return match self.group_size {
                Some(_) => Err(ApiError::invalid(
                    "/group_size",
                    "group_size goes with group_by",
                )),
                None => Ok(None),
            };
        };
        if !(1..=MAX_FIELD_BYTES).contains(&field.len()) {
            let detail = format!(
                "group_by has {} bytes; 1 to {MAX_FIELD_BYTES} are allowed",
                field.len()
            );
            return Err(ApiError::invalid("/group_by", detail));
        }
        let field = FieldPath::parse(&field)
            .map_err(|error| ApiError::invalid("/group_by", error.to_string()))?;
        let size = self.group_size.unwrap_or(1);
        in_range("/group_size", size, 1, limits.max_top_k, "limits.max_top_k")?;
        Ok(Some(Grouping { field, size }))
    }

    fn query_input(self, limits: &Limits) -> Result<QueryInput, ApiError> {
        if self.negative.is_some() && self.positive.is_none() {
            let detail = "negative goes with positive, which says where to search";
            return Err(ApiError::invalid("/negative", detail));
        }
        match (self.query, self.vector, self.id, self.positive) {
            (None, None, None, Some(positive)) => {
                examples(positive, self.negative.unwrap_or_default(), limits)
            }
            (query, vector, id, None) => one_input(query, vector, id, limits),
            _ => Err(ApiError::invalid("", ONE_FORM)),
        }
    }
}

const ONE_FORM: &str = "give exactly one of query, vector, id and positive";

fn examples(
    positive: Vec<Item>,
    negative: Vec<Item>,
    limits: &Limits,
) -> Result<QueryInput, ApiError> {
    if positive.is_empty() {
        return Err(ApiError::invalid("/positive", "the list is empty"));
    }
    let (count, max) = (positive.len() + negative.len(), limits.max_search_examples);
    if count > max {
        let detail = format!(
            "there are {count} items in positive and negative, over limits.max_search_examples = {max}"
        );
        return Err(ApiError::invalid("/positive", detail));
    }
    let operands = |items: Vec<Item>, pointer: &str| {
        let items = items.into_iter().enumerate();
        items
            .map(|(place, item)| item.checked(limits, &format!("{pointer}/{place}")))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(QueryInput::Examples {
        positive: operands(positive, "/positive")?,
        negative: operands(negative, "/negative")?,
    })
}

/// Passages of each hit to return; they are read for every hit, so there may be fewer hits.
fn passages_per_hit(include: &[Include], top_k: usize, limits: &Limits) -> Result<usize, ApiError> {
    if !include.contains(&Include::Passages) {
        return Ok(0);
    }
    let max = limits.max_hits_with_passages;
    if top_k > max {
        let detail = format!(
            "top_k is {top_k}; with include passages, up to limits.max_hits_with_passages = {max} are allowed"
        );
        return Err(ApiError::invalid("/top_k", detail));
    }
    Ok(limits.max_passages_per_hit)
}

fn one_input(
    query: Option<String>,
    vector: Option<Vec<f32>>,
    id: Option<String>,
    limits: &Limits,
) -> Result<QueryInput, ApiError> {
    match (query, vector, id) {
        (Some(text), None, None) => {
            check_text(&text, limits.max_query_bytes, "limits.max_query_bytes")
                .map_err(|error| error.at("/query"))?;
            Ok(QueryInput::Text(text))
        }
        (None, Some(vector), None) => Ok(QueryInput::Vector(vector)),
        (None, None, Some(id)) => {
            check_id(&id).map_err(|error| error.at("/id"))?;
            Ok(QueryInput::Document(id))
        }
        _ => Err(ApiError::invalid("", ONE_FORM)),
    }
}

/// Checks a number against a limit that has a name.
///
/// # Errors
/// 422 with a pointer to the field.
pub(super) fn in_range(
    pointer: &str,
    value: usize,
    min: usize,
    max: usize,
    limit: &str,
) -> Result<(), ApiError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    let detail = format!(
        "{} is {value}; {min} to {limit} = {max} are allowed",
        &pointer[1..]
    );
    Err(ApiError::invalid(pointer, detail))
}

pub(super) fn within(
    pointer: &str,
    value: Option<f32>,
    min: f32,
    max: f32,
) -> Result<(), ApiError> {
    match value {
        Some(value) if !(min..=max).contains(&value) => Err(ApiError::invalid(
            pointer,
            format!("{} is {value}; {min} to {max} are allowed", &pointer[1..]),
        )),
        _ => Ok(()),
    }
}
