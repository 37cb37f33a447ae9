//! `POST /duplicates`: pairs of documents, or of passages of two documents, that are alike.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde::ser::{Error as _, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use siamese_index::{
    Alike, AlikeMode, AlikeOptions, AlikePair, AlikeScope, AlikeSide, Reader, Workers,
};
use utoipa::ToSchema;

use super::filter::FilterShape;
use super::jobs::{PreferHeader, StartedJob, started};
use super::lines::{NDJSON, wants_lines};
use super::problems::{
    AnswerProblems, BodyProblems, CollectionProblems, ComparisonProblems, EngineProblems,
};
use super::search::in_range;
use crate::access::{CollectionName, Principal};
use crate::answer::{self, Pieces, Room};
use crate::app::App;
use crate::backend::Capability;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, RespondAsync, from_object_only, present, whole_number};
use crate::jobs::{JobKind, JobRun, NewJob};
use crate::service::{blocking, blocking_steps};

/// Pairs returned unless the request says otherwise.
const DEFAULT_PAIRS: usize = 1000;
/// Pairs that a job reads and writes at once.
const PAIRS_PER_STEP: usize = 4096;

/// Which documents to compare, and which pairs to return.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct DuplicatesRequest {
    /// The least cosine of a pair.
    #[schema(minimum = -1, maximum = 1, example = 0.9)]
    min_score: f32,
    /// Compare only documents that pass.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    filter: Option<FilterShape>,
    /// With `against`: compare the documents that pass this one with those that pass the other, instead of
    /// all with all.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    within: Option<FilterShape>,
    /// Goes with `within`. Where the same two documents are in both, they are one pair.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    against: Option<FilterShape>,
    #[serde(default)]
    #[schema(inline)]
    scope: ScopeShape,
    #[serde(default)]
    #[schema(inline)]
    mode: AlikeModeShape,
    /// Only pairs that are among so many best ones of either document; up to `limits.max_top_k`. Without it,
    /// all.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 1000)]
    top_k_per_document: Option<usize>,
    /// Pairs to return, the best ones; up to `limits.max_pairs`. 1000 unless given.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    limit: Option<usize>,
}

from_object_only!(DuplicatesRequest);

/// What is compared.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ScopeShape {
    /// Documents as wholes, by the mean of their passages' vectors, as `POST /similarity` does.
    #[default]
    Documents,
    /// Every passage with every passage of other documents: finds what long texts have in common.
    Passages,
}

/// How pairs are looked for.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlikeModeShape {
    /// Every two are compared.
    #[default]
    Exact,
    /// Each is compared with its nearest neighbours, which a search finds (32, up to 512 where all of them are
    /// alike, or `top_k_per_document`): much faster among very many, and a few pairs are missed. Every pair that
    /// is returned has its exact score.
    Approximate,
}

/// Pairs that are alike.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DuplicatesResponse {
    /// Best first; equal scores in the order in which the documents were stored.
    #[schema(value_type = Vec<PairShape>)]
    pairs: Pairs,
    /// How many reach `min_score`, returned or not; with `top_k_per_document` how many of them are left.
    total: u64,
    /// Documents that were compared.
    documents: u64,
}

/// Two documents that are alike. The one that was stored first is `a`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PairShape {
    /// Id of one document.
    #[schema(example = "ticket-17")]
    a: String,
    /// Id of the other.
    #[schema(example = "ticket-4")]
    b: String,
    /// Their cosine, or that of the two passages.
    score: f32,
    /// The passage of `a`; with `scope: passages`.
    #[serde(skip_serializing_if = "Option::is_none")]
    a_span: Option<SpanShape>,
    /// The passage of `b`; with `scope: passages`.
    #[serde(skip_serializing_if = "Option::is_none")]
    b_span: Option<SpanShape>,
}

/// Where a passage is in its document's text, bytes of UTF-8.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpanShape {
    /// Its first byte.
    start: usize,
    /// One after its last byte.
    end: usize,
}

impl JsonBody for DuplicatesRequest {
    type Checked = AlikeOptions;

    fn check(self, limits: &Limits) -> Result<AlikeOptions, ApiError> {
        check_score(self.min_score)?;
        let limit = self.limit.unwrap_or(DEFAULT_PAIRS.min(limits.max_pairs));
        in_range("/limit", limit, 1, limits.max_pairs, "limits.max_pairs")?;
        let top_k = self.top_k_per_document;
        if let Some(top_k) = top_k {
            let max = limits.max_top_k;
            in_range("/top_k_per_document", top_k, 1, max, "limits.max_top_k")?;
        }
        let read = |filter: Option<FilterShape>, pointer| {
            filter
                .map(|filter| filter.read(limits, pointer))
                .transpose()
        };
        let (within, against) = (
            read(self.within, "/within")?,
            read(self.against, "/against")?,
        );
        let between = match (within, against) {
            (None, None) => None,
            (Some(within), Some(against)) => Some((within, against)),
            (Some(_), None) => return Err(goes_with("/within", "against")),
            (None, Some(_)) => return Err(goes_with("/against", "within")),
        };
        Ok(AlikeOptions {
            min_score: self.min_score,
            scope: self.scope.into(),
            mode: self.mode.into(),
            filter: read(self.filter, "/filter")?,
            between,
            top_k_per_document: top_k.and_then(NonZeroUsize::new),
            limit,
            workers: Workers::new(NonZeroUsize::MIN),
        })
    }
}

/// Checks the threshold of a comparison.
///
/// # Errors
/// 422 for a number that no cosine can be.
pub(super) fn check_score(min_score: f32) -> Result<(), ApiError> {
    if (-1.0..=1.0).contains(&min_score) {
        return Ok(());
    }
    let detail = format!("min_score is {min_score}, and must be -1 to 1");
    Err(ApiError::invalid("/min_score", detail))
}

fn goes_with(pointer: &str, other: &str) -> ApiError {
    ApiError::invalid(
        pointer,
        format!("{} needs {other} beside it", &pointer[1..]),
    )
}

impl From<ScopeShape> for AlikeScope {
    fn from(shape: ScopeShape) -> Self {
        match shape {
            ScopeShape::Documents => Self::Documents,
            ScopeShape::Passages => Self::Passages,
        }
    }
}

impl From<AlikeModeShape> for AlikeMode {
    fn from(shape: AlikeModeShape) -> Self {
        match shape {
            AlikeModeShape::Exact => Self::Exact,
            AlikeModeShape::Approximate => Self::Approximate,
        }
    }
}

/// Find duplicates: all pairs of documents, or of their passages, whose cosine is at least `min_score`.
///
/// Answers at once up to `limits.max_comparisons_at_once`; beyond that, or with `Prefer: respond-async`, a
/// job compares, and `GET /jobs/{id}/result` returns the pairs. With `Accept: application/x-ndjson` the
/// pairs come one a line.
#[utoipa::path(
    post, path = "/duplicates", operation_id = "duplicates", tag = "similarity",
    params(PreferHeader),
    request_body = DuplicatesRequest,
    responses(
        (status = 200, content((DuplicatesResponse = "application/json"), (String = "application/x-ndjson"))),
        (status = 202, body = StartedJob, description = "A job compares"),
        BodyProblems, AnswerProblems, ComparisonProblems, CollectionProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    principal: Principal,
    name: CollectionName,
    RespondAsync(is_wanted_later): RespondAsync,
    headers: HeaderMap,
    ApiJson(options): ApiJson<DuplicatesRequest>,
) -> Result<Response, ApiError> {
    let collection = app.engine()?.reader(&name)?;
    let collection = collection.embedded_arc(Capability::Duplicates)?;
    if is_wanted_later || is_too_long(&app, &collection, &options).await? {
        let job = job(collection.name().to_owned(), collection, options);
        return started(&app, &principal, job, is_wanted_later).await;
    }
    let (mut room, as_lines) = (app.room(), wants_lines(&headers));
    blocking_steps(move |cancel| {
        // The pairs are held while they are written, which may be as slow as the client reads.
        room.hold(options.limit * 2 * size_of::<AlikePair>())?;
        cancel.long_step()?;
        let alike = collection.alike(&options, cancel.flag(), &Default::default())?;
        let room = room.until(cancel);
        let pairs = Pairs { collection, alike };
        if as_lines {
            return pairs.into_lines(room);
        }
        let (total, documents) = (pairs.alike.total, pairs.alike.documents);
        answer::json(
            room,
            &DuplicatesResponse {
                pairs,
                total,
                documents,
            },
        )
    })
    .await
}

/// Whether a comparison is more than a request may ask for at once.
///
/// # Errors
/// As [`siamese_index::Reader::count_comparisons`].
pub(super) async fn is_too_long(
    app: &App,
    collection: &Arc<Reader>,
    options: &AlikeOptions,
) -> Result<bool, ApiError> {
    let max_comparisons = app.limits().max_comparisons_at_once as u64;
    let (collection, options) = (Arc::clone(collection), options.clone());
    blocking(move || Ok(collection.count_comparisons(&options)? > max_comparisons)).await
}

fn job(name: String, collection: Arc<Reader>, options: AlikeOptions) -> NewJob {
    let unit = match options.mode {
        AlikeMode::Exact => "comparisons",
        AlikeMode::Approximate => "items",
    };
    NewJob {
        kind: JobKind::Duplicates,
        collection: Some(name),
        unit,
        on_cancel: None,
        work: Box::new(move |run| {
            let options = AlikeOptions {
                workers: JobRun::workers(),
                ..options
            };
            let alike = collection.alike(&options, run.cancel, run.progress)?;
            let (mut lines, mut written) = (run.result()?, 0);
            let mut sides = collection.alike_sides();
            for pairs in alike.pairs.chunks(PAIRS_PER_STEP) {
                run.cancel.check()?;
                let mut shapes = Vec::with_capacity(pairs.len());
                for pair in pairs {
                    let sides = sides.read(pair)?;
                    shapes.extend(sides.map(|sides| PairShape::new(pair.score, sides)));
                }
                lines.write_all(&shapes)?;
                written += shapes.len();
            }
            lines.finish()?;
            Ok(serde_json::json!({
                "pairs": written,
                "total": alike.total,
                "documents": alike.documents,
            }))
        }),
    }
}

/// Pairs of which each is read when it is written.
#[derive(Debug)]
struct Pairs {
    collection: Arc<Reader>,
    alike: Alike,
}

impl Pairs {
    fn into_lines(self, room: Room) -> Result<Response, ApiError> {
        let mut pieces = Pieces::new(room);
        let mut sides = self.collection.alike_sides();
        for pair in &self.alike.pairs {
            if let Some(sides) = sides.read(pair)? {
                pieces.write_json(&PairShape::new(pair.score, sides))?;
                pieces.end_line()?;
            }
        }
        let mut response = pieces.into_json();
        let ndjson = HeaderValue::from_static(NDJSON);
        response.headers_mut().insert(header::CONTENT_TYPE, ndjson);
        Ok(response)
    }
}

impl Serialize for Pairs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pairs = serializer.serialize_seq(None)?;
        let mut sides = self.collection.alike_sides();
        for pair in &self.alike.pairs {
            // One of a document that has been replaced or deleted meanwhile is left out.
            if let Some(sides) = sides.read(pair).map_err(S::Error::custom)? {
                pairs.serialize_element(&PairShape::new(pair.score, sides))?;
            }
        }
        pairs.end()
    }
}

impl PairShape {
    fn new(score: f32, [a, b]: [AlikeSide; 2]) -> Self {
        Self {
            a: a.id,
            b: b.id,
            score,
            a_span: a.span.map(SpanShape::from),
            b_span: b.span.map(SpanShape::from),
        }
    }
}

impl From<Range<usize>> for SpanShape {
    fn from(span: Range<usize>) -> Self {
        Self {
            start: span.start,
            end: span.end,
        }
    }
}
