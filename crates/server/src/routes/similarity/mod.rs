//! `POST /similarity`: how alike are these?

mod matrix;
mod operands;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::matrix::{Matrix, MatrixLines, Rows};
use self::operands::Operands;
use super::item::{Item, PlainText};
use super::lines::{streamed, wants_lines};
use super::problems::{AnswerProblems, BodyProblems, DocumentProblems, EngineProblems};
use super::truncation::TruncationDirection;
use crate::access::CollectionName;
use crate::answer;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, ListLimit, from_object_only, present};
use crate::service::{Compared, Metric, Operand, blocking_steps, compared};

/// How two vectors are compared. All vectors are scaled to length 1 first.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MetricShape {
    /// Cosine of the angle, -1 to 1.
    #[default]
    Cosine,
    /// Dot product; of unit vectors, so the same as the cosine.
    Dot,
    /// Negative Euclidean distance: 0 is the most alike.
    Euclidean,
    /// Negative Manhattan distance: 0 is the most alike.
    Manhattan,
}

/// One of four forms: `pairs`; `source` and `targets`; `left` and optionally `right`; or `inputs`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct SimilarityRequest {
    /// Pairs of items; the answer has one score for each.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_items = 1, max_items = 1024)]
    pairs: Option<Vec<Vec<Item>>>,
    /// One item to compare with each of `targets`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    source: Option<Item>,
    /// The answer has one score for each.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_items = 1, max_items = 2047)]
    targets: Option<Vec<Item>>,
    /// Rows of a matrix.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_items = 1, max_items = 1024)]
    left: Option<Vec<Item>>,
    /// Columns of the matrix; `left` again when absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_items = 1, max_items = 1024)]
    right: Option<Vec<Item>>,
    metric: Option<MetricShape>,
    /// The encoder of the texts, as `GET /models` names it; the collection's when absent. Stored documents can be
    /// compared with texts of their own encoder only.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    model: Option<String>,
    /// The form of text-embeddings-inference; the answer is a bare array.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    inputs: Option<Inputs>,
    /// Accepted beside `inputs`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    parameters: Option<Parameters>,
}

/// One sentence against many, as text-embeddings-inference takes it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self")]
pub(crate) struct Inputs {
    #[schema(min_length = 1, pattern = r"\S")]
    source_sentence: String,
    #[schema(min_items = 1, max_items = 2047)]
    sentences: Vec<PlainText>,
}

/// Parameters of text-embeddings-inference. Texts are always cut at the window, on the right. Fields of
/// other names are passed over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self")]
pub(crate) struct Parameters {
    /// Only `true`: texts over the window are cut.
    truncate: Option<bool>,
    /// Only `right`: texts are cut at the end.
    #[schema(inline)]
    truncation_direction: Option<TruncationDirection>,
}

from_object_only!(SimilarityRequest, Inputs, Parameters);

impl JsonBody for SimilarityRequest {
    type Checked = Comparison;

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        let list =
            |pointer, max| ListLimit::new(pointer, "items", max, "limits.max_similarity_items");
        let max = limits.max_similarity_items;
        let pointers = [
            "/pairs",
            "/pairs/*",
            "/targets",
            "/left",
            "/right",
            "/inputs/sentences",
        ];
        pointers.map(|pointer| list(pointer, max)).into()
    }

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        self.checked(limits)
    }
}

/// Scores, in the order of `pairs` or `targets`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Scores {
    scores: Vec<f32>,
}

/// One of the three answers, by the form of the request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum SimilarityResponse {
    /// For `pairs`, and for `source` with `targets`.
    Scores(Scores),
    /// For `left` and `right`.
    Matrix(Matrix),
    /// For `inputs`.
    Bare(Vec<f32>),
}

/// Compare texts and stored documents.
///
/// With `Accept: application/x-ndjson` a matrix comes one row a line, each an array of scores, while it is
/// computed; then it may have more than `limits.max_similarity_scores` scores.
#[utoipa::path(
    post, path = "/similarity", operation_id = "similarity", tag = "similarity",
    request_body = SimilarityRequest,
    responses(
        (status = 200, content((SimilarityResponse = "application/json"), (String = "application/x-ndjson"))),
        BodyProblems, AnswerProblems, DocumentProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    collection: CollectionName,
    headers: HeaderMap,
    ApiJson(comparison): ApiJson<SimilarityRequest>,
) -> Result<Response, ApiError> {
    compare(&app, &collection, comparison, wants_lines(&headers)).await
}

/// The answer to a comparison in a collection; a matrix as lines, if it may come so.
///
/// # Errors
/// 404 for a collection or a document that is not there, and as [`compared`].
pub(super) async fn compare(
    app: &App,
    collection: &CollectionName,
    comparison: Comparison,
    as_lines: bool,
) -> Result<Response, ApiError> {
    if !as_lines {
        comparison.form.check_size(app.limits())?;
    }
    let engine = app.engine()?;
    let collection = engine.reader(collection)?;
    let Comparison {
        model,
        operands,
        pairs,
        metric,
        form,
    } = comparison;
    let mut room = app.room();
    // What is made before the answer; texts are bounded by the queue as well.
    room.hold(operands.len() * collection.dimensions() * size_of::<f32>())?;
    let compared = compared(engine, &collection, model.as_deref(), operands, metric).await?;
    let form = match form {
        Form::Matrix { rows, columns } if as_lines => {
            let rows = Rows {
                compared,
                rows,
                columns,
            };
            return Ok(streamed(app, MatrixLines::new(rows, room)));
        }
        form => form,
    };
    blocking_steps(move |cancel| {
        let response = form.response(compared, &pairs);
        answer::json(room.another().until(cancel), &response)
    })
    .await
}

/// A request that has passed its checks: scores of `pairs` of places in `operands`.
#[derive(Debug)]
pub(crate) struct Comparison {
    model: Option<String>,
    operands: Vec<Operand>,
    pairs: Vec<(usize, usize)>,
    metric: Metric,
    form: Form,
}

/// How the scores are laid out in the answer.
#[derive(Debug)]
enum Form {
    Scores,
    /// Of every row with every column; these are as many as may be, so no list of pairs is made.
    Matrix {
        rows: Vec<usize>,
        columns: Vec<usize>,
    },
    Bare,
}

impl Form {
    /// # Errors
    /// 422 when a matrix has more scores than one document may.
    fn check_size(&self, limits: &Limits) -> Result<(), ApiError> {
        let Self::Matrix { rows, columns } = self else {
            return Ok(());
        };
        let (rows, columns, max) = (rows.len(), columns.len(), limits.max_similarity_scores);
        let scores = rows * columns;
        if scores <= max {
            return Ok(());
        }
        let detail = format!(
            "{rows} rows and {columns} columns make {scores} scores, over limits.max_similarity_scores = {max}; \
             with Accept: application/x-ndjson the rows come as lines, and may be more"
        );
        Err(ApiError::invalid("/left", detail))
    }

    fn response(self, compared: Compared, pairs: &[(usize, usize)]) -> SimilarityResponse {
        let score = |(left, right): &(usize, usize)| compared.score(*left, *right);
        let scores = pairs.iter().map(score).collect();
        match self {
            Self::Scores => SimilarityResponse::Scores(Scores { scores }),
            Self::Bare => SimilarityResponse::Bare(scores),
            Self::Matrix { rows, columns } => SimilarityResponse::Matrix(Matrix {
                matrix: Rows {
                    compared,
                    rows,
                    columns,
                },
            }),
        }
    }
}

impl From<MetricShape> for Metric {
    fn from(shape: MetricShape) -> Self {
        match shape {
            MetricShape::Cosine => Self::Cosine,
            MetricShape::Dot => Self::Dot,
            MetricShape::Euclidean => Self::Euclidean,
            MetricShape::Manhattan => Self::Manhattan,
        }
    }
}

impl SimilarityRequest {
    fn checked(self, limits: &Limits) -> Result<Comparison, ApiError> {
        let metric = self.metric.unwrap_or_default().into();
        check_parameters(self.parameters.as_ref(), self.inputs.is_some())?;
        let mut operands = Operands::new(limits);
        let (pairs, form) = match (
            self.pairs,
            self.source,
            self.targets,
            self.left,
            self.inputs,
        ) {
            (Some(pairs), None, None, None, None) if self.right.is_none() => {
                (operands.pairs(pairs)?, Form::Scores)
            }
            (None, Some(source), Some(targets), None, None) if self.right.is_none() => {
                let source = operands.push(source, "/source")?;
                (
                    operands.one_to_many(source, targets, "/targets")?,
                    Form::Scores,
                )
            }
            (None, None, None, Some(left), None) => operands.matrix(left, self.right)?,
            (None, None, None, None, Some(inputs)) if self.right.is_none() => {
                let source =
                    operands.push(plain(inputs.source_sentence), "/inputs/source_sentence")?;
                let targets = inputs.sentences.into_iter().map(Item::Plain).collect();
                (
                    operands.one_to_many(source, targets, "/inputs/sentences")?,
                    Form::Bare,
                )
            }
            _ => {
                let detail =
                    "give one of: pairs; source and targets; left and optionally right; inputs";
                return Err(ApiError::invalid("", detail));
            }
        };
        Ok(Comparison {
            model: self.model,
            operands: operands.list,
            pairs,
            metric,
            form,
        })
    }
}

impl Inputs {
    /// One sentence against many.
    ///
    /// # Errors
    /// 422 for a text that is blank or too long, or too many of them.
    pub(super) fn checked(self, limits: &Limits) -> Result<Comparison, ApiError> {
        let request = SimilarityRequest {
            inputs: Some(self),
            ..SimilarityRequest::default()
        };
        request.checked(limits)
    }
}

fn plain(text: String) -> Item {
    Item::Plain(PlainText::from(text))
}

fn check_parameters(parameters: Option<&Parameters>, has_inputs: bool) -> Result<(), ApiError> {
    let Some(parameters) = parameters else {
        return Ok(());
    };
    if !has_inputs {
        return Err(ApiError::invalid(
            "/parameters",
            "parameters belong beside inputs",
        ));
    }
    if parameters.truncate == Some(false) {
        let detail = "truncate: false is not supported; texts over the window are cut";
        return Err(ApiError::invalid("/parameters/truncate", detail));
    }
    if parameters.truncation_direction == Some(TruncationDirection::Left) {
        let detail = "texts over the window are cut at the end here, that is at the right";
        return Err(ApiError::invalid(
            "/parameters/truncation_direction",
            detail,
        ));
    }
    Ok(())
}
