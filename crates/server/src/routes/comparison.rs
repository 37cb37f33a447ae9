//! `POST /collections/{collection}/generations/{generation}/compare`: what would change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Deserializer, de};
use siamese_index::Fusion;
use tokio::runtime::Handle;
use utoipa::ToSchema;

use super::comparison_report::{ChangedQuery, ComparisonReport};
use super::documents::{check_id, check_text};
use super::jobs::{PreferHeader, StartedJob, started};
use super::mode::ModeShape;
use super::problems::{
    AnswerProblems, BodyProblems, ConflictProblems, EngineProblems, GenerationProblems,
};
use super::search::in_range;
use crate::access::{CollectionName, Principal};
use crate::answer;
use crate::app::{App, Engine};
use crate::backend::Reader;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{
    GenerationNumber, JsonBody, ListLimit, OptionalJson, RespondAsync, from_object_only, present,
    whole_number,
};
use crate::jobs::{JobKind, JobRun, NewJob};
use crate::service::{
    ComparedGenerations, ComparedQuery, Comparison, ComparisonTask, Mode, blocking, blocking_steps,
};

/// Hits of a query that are compared and shown unless the request says otherwise, and the most.
const DEFAULT_TOP_K: usize = 10;
const MAX_TOP_K: usize = 100;
/// Queries that are shown unless the request says otherwise, and the most.
const DEFAULT_CHANGES: usize = 10;
const MAX_CHANGES: usize = 100;
/// The largest grade of relevance.
const MAX_GRADE: u32 = 1000;

/// What to ask both generations: `queries`, or `judgements`, or without both the queries that the collection has kept.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct ComparisonRequest {
    /// Texts to search for; at most `limits.max_compared_queries`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_items = 1, max_items = 10000)]
    queries: Option<Vec<String>>,
    /// Texts to search for with what is known about their answers, so that the quality of both can be told; at
    /// most `limits.max_compared_queries`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_items = 1, max_items = 10000)]
    judgements: Option<Vec<Judgement>>,
    /// By what to search.
    #[serde(default)]
    #[schema(inline)]
    mode: ModeShape,
    /// Hits of each query whose overlap is counted, and which are shown; 10 unless given.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 100)]
    top_k: Option<usize>,
    /// How many of the queries that change most to show; 10 unless given.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 0, maximum = 100)]
    changes: Option<usize>,
    /// Score every vector instead of those that the indexes lead to.
    #[serde(default)]
    exact: bool,
}

/// A query with what is known about its answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct Judgement {
    /// Text to search for.
    #[schema(min_length = 1, pattern = r"\S", example = "I cannot sign in any more")]
    query: String,
    /// How relevant documents are, by their ids: 0 is not at all, and 1000 the most. Others count as 0.
    #[schema(value_type = BTreeMap<String, u32>, example = json!({"t-1": 1}))]
    relevant: BTreeMap<String, Grade>,
    /// The query's own id, where queries are documents, as in some data sets of BEIR: a document with this id
    /// is left out.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 512)]
    id: Option<String>,
}

from_object_only!(ComparisonRequest, Judgement);

/// How relevant a document is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grade(u32);

impl<'de> Deserialize<'de> for Grade {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match whole_number::<D, u32>(deserializer)? {
            Some(grade) if grade <= MAX_GRADE => Ok(Self(grade)),
            _ => Err(de::Error::custom(format_args!(
                "a grade is a whole number from 0 to {MAX_GRADE}"
            ))),
        }
    }
}

impl JsonBody for ComparisonRequest {
    type Checked = ComparisonTask;

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        let list = |pointer, items| {
            let max = limits.max_compared_queries;
            ListLimit::new(pointer, items, max, "limits.max_compared_queries")
        };
        vec![list("/queries", "queries"), list("/judgements", "queries")]
    }

    fn check(self, limits: &Limits) -> Result<ComparisonTask, ApiError> {
        let top_k = self.top_k.unwrap_or(DEFAULT_TOP_K.min(limits.max_top_k));
        in_range("/top_k", top_k, 1, limits.max_top_k, "limits.max_top_k")?;
        at_most("/top_k", top_k, MAX_TOP_K)?;
        let max_changes = self.changes.unwrap_or(DEFAULT_CHANGES);
        at_most("/changes", max_changes, MAX_CHANGES)?;
        let mode = match self.mode {
            ModeShape::Semantic => Mode::Semantic,
            ModeShape::Lexical => Mode::Lexical,
            ModeShape::Hybrid => Mode::Hybrid(Fusion::ReciprocalRank),
        };
        let queries = match (self.queries, self.judgements) {
            (Some(texts), None) => plain(texts, limits)?,
            (None, Some(judgements)) => judged(judgements, limits)?,
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => {
                let detail = "judgements have queries of their own, so they do not go with queries";
                return Err(ApiError::invalid("/queries", detail));
            }
        };
        Ok(ComparisonTask {
            queries,
            mode,
            exact: self.exact,
            top_k,
            max_changes,
            max_top_k: limits.max_top_k,
            max_time: Duration::from_millis(limits.max_comparing_ms),
        })
    }
}

fn at_most(pointer: &str, value: usize, max: usize) -> Result<(), ApiError> {
    if value <= max {
        return Ok(());
    }
    let detail = format!("{} is {value}, and may be {max} at most", &pointer[1..]);
    Err(ApiError::invalid(pointer, detail))
}

fn plain(texts: Vec<String>, limits: &Limits) -> Result<Vec<ComparedQuery>, ApiError> {
    check_amount(
        "/queries",
        texts.len(),
        texts.iter().map(String::len).sum(),
        limits,
    )?;
    let texts = texts.into_iter().enumerate();
    let queries = texts.map(|(place, text)| {
        check_query(&text, limits).map_err(|error| error.at(format!("/queries/{place}")))?;
        Ok(ComparedQuery {
            text,
            ..ComparedQuery::default()
        })
    });
    queries.collect()
}

fn judged(judgements: Vec<Judgement>, limits: &Limits) -> Result<Vec<ComparedQuery>, ApiError> {
    let bytes = judgements.iter().map(Judgement::bytes).sum();
    check_amount("/judgements", judgements.len(), bytes, limits)?;
    let judgements = judgements.into_iter().enumerate();
    let queries = judgements.map(|(place, judgement)| {
        let checked = judgement.checked(limits);
        checked.map_err(|error| error.within(&format!("/judgements/{place}")))
    });
    queries.collect()
}

fn check_amount(
    pointer: &str,
    queries: usize,
    bytes: usize,
    limits: &Limits,
) -> Result<(), ApiError> {
    if queries == 0 {
        return Err(ApiError::invalid(pointer, "the list is empty"));
    }
    let max = limits.max_compared_bytes;
    if bytes > max {
        let detail = format!(
            "texts and ids have {bytes} bytes together, over limits.max_compared_bytes = {max}"
        );
        return Err(ApiError::invalid(pointer, detail));
    }
    Ok(())
}

fn check_query(text: &str, limits: &Limits) -> Result<(), ApiError> {
    check_text(text, limits.max_query_bytes, "limits.max_query_bytes")
}

impl Judgement {
    fn bytes(&self) -> usize {
        let ids = self.relevant.keys().map(String::len);
        self.query.len() + ids.sum::<usize>()
    }

    fn checked(self, limits: &Limits) -> Result<ComparedQuery, ApiError> {
        check_query(&self.query, limits).map_err(|error| error.at("/query"))?;
        for id in self.relevant.keys() {
            check_id(id).map_err(|error| error.at("/relevant"))?;
        }
        if let Some(id) = &self.id {
            check_id(id).map_err(|error| error.at("/id"))?;
        }
        let relevant = self.relevant.into_iter();
        Ok(ComparedQuery {
            text: self.query,
            own_id: self.id,
            relevant: relevant
                .map(|(id, Grade(grade))| (id, i64::from(grade)))
                .collect(),
        })
    }
}

/// Compare a generation with the active one: what each finds for the same queries, how good that is where
/// judgements say so, and what it costs.
///
/// The queries are encoded behind everything that somebody waits for, so it may take its time: up to
/// `limits.max_compared_queries_at_once` are answered at once; beyond that, or with `Prefer: respond-async`, a
/// job compares. Its `result` in `GET /jobs/{id}` is the report without `changed`, which `GET /jobs/{id}/result`
/// returns.
#[utoipa::path(
    post, path = "/collections/{collection}/generations/{generation}/compare", operation_id = "compare_generations",
    tag = "collections",
    params(
        ("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$"),
        ("generation" = u32, Path, minimum = 1),
        PreferHeader
    ),
    request_body = ComparisonRequest,
    responses(
        (status = 200, body = ComparisonReport),
        (status = 202, body = StartedJob, description = "A job compares"),
        BodyProblems, AnswerProblems, GenerationProblems, ConflictProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    principal: Principal,
    name: CollectionName,
    GenerationNumber(number): GenerationNumber,
    RespondAsync(is_wanted_later): RespondAsync,
    OptionalJson(mut task): OptionalJson<ComparisonRequest>,
) -> Result<Response, ApiError> {
    let engine = app.engine()?;
    let (named, collection) = (app.clone(), engine.reader(&name)?);
    let compared = Arc::clone(&collection);
    let of = move || ComparedGenerations::of(named.engine()?, compared.name(), number);
    let generations = blocking(of).await?;
    if task.queries.is_empty() {
        task.queries = recent(engine, &*collection, app.limits())?;
    }
    if is_wanted_later || task.queries.len() > app.limits().max_compared_queries_at_once {
        let job = job(&app, generations, task);
        return started(&app, &principal, job, is_wanted_later).await;
    }
    let (mode, top_k) = (task.mode, task.top_k);
    let comparison = Comparison::begin(engine, generations, task).await?;
    let report = comparison.finish(engine).await?;
    let room = app.room();
    blocking_steps(move |cancel| {
        let (summary, changed) = ComparisonReport::new(report, mode, top_k);
        answer::json(room.until(cancel), &summary.with(changed))
    })
    .await
}

/// The queries that the collection has kept.
fn recent(
    engine: &Engine,
    collection: &Reader,
    limits: &Limits,
) -> Result<Vec<ComparedQuery>, ApiError> {
    let mut texts = engine.recent_queries.of(collection);
    if texts.is_empty() {
        let detail = "the collection has kept no queries; give queries or judgements, or have it keep some by its setting keep_queries";
        return Err(ApiError::invalid("/queries", detail));
    }
    texts.truncate(limits.max_compared_queries);
    let queries = texts.into_iter().map(|text| ComparedQuery {
        text,
        ..ComparedQuery::default()
    });
    Ok(queries.collect())
}

/// The job that compares. Must be made within the runtime.
fn job(app: &App, generations: ComparedGenerations, task: ComparisonTask) -> NewJob {
    let (app, runtime) = (app.clone(), Handle::current());
    NewJob {
        kind: JobKind::Comparison,
        collection: Some(generations.name().to_owned()),
        unit: "queries",
        on_cancel: None,
        work: Box::new(move |run| {
            let (mode, top_k) = (task.mode, task.top_k);
            let report = compared(&app, &runtime, generations, task, run)?;
            let (summary, changed) = ComparisonReport::new(report, mode, top_k);
            write(run, &changed)?;
            serde_json::to_value(summary).map_err(ApiError::internal)
        }),
    }
}

fn compared(
    app: &App,
    runtime: &Handle,
    generations: ComparedGenerations,
    task: ComparisonTask,
    run: &JobRun<'_>,
) -> Result<crate::service::Report, ApiError> {
    let engine = app.engine()?;
    let mut comparison = runtime.block_on(Comparison::begin(engine, generations, task))?;
    run.progress.set_total(comparison.total() as u64);
    let go_on = || Ok(run.cancel.check()?);
    loop {
        go_on()?;
        let encoded = runtime.block_on(comparison.next(engine))?;
        if encoded.is_empty() {
            break;
        }
        comparison.search(encoded, &go_on)?;
        run.progress.set_done(comparison.done() as u64);
    }
    comparison.sample(&|_| go_on())?;
    comparison.report()
}

fn write(run: &JobRun<'_>, changed: &[ChangedQuery]) -> Result<(), ApiError> {
    let mut lines = run.result()?;
    lines.write_all(changed)?;
    lines.finish()
}
