//! `POST /v1/rerank` and `POST /v2/rerank`.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Meta;
use crate::answer;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, ListLimit, from_object_only, whole_number};
use crate::routes::problems::{AnswerProblems, BodyProblems, EngineProblems, RerankerProblems};
use crate::routes::rerank::{check_query_and_texts, logistic, ranked};
use crate::service::{OverWindow, RerankTask, RerankTexts, blocking_steps};

/// The field of a document that holds its text, unless `rank_fields` names others.
const TEXT_FIELD: &str = "text";

/// A query and documents to put into order, as Cohere takes them. Fields of other names, such as
/// `max_tokens_per_doc`, are passed over: a reranker reads what fits its window.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self")]
pub(crate) struct CohereRerankRequest {
    /// A reranker as `GET /models` names it; with one, any name means it.
    model: Option<String>,
    /// What the documents should answer.
    #[schema(min_length = 1, pattern = r"\S", example = "I cannot sign in any more")]
    query: String,
    /// At most `limits.max_rerank_candidates`.
    #[schema(min_items = 1, max_items = 200)]
    documents: Vec<RerankDocument>,
    /// Return only so many of the best.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1)]
    top_n: Option<usize>,
    /// Fields of the documents that are read, one after the other; `text` when absent.
    rank_fields: Option<Vec<String>>,
    /// Return the documents, too.
    return_documents: Option<bool>,
}

/// A text, or an object with one in its field `text` or in those that `rank_fields` names.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(untagged, expecting = "expected a string or an object")]
pub(crate) enum RerankDocument {
    /// A text.
    Text(String),
    /// An object.
    #[schema(value_type = Object)]
    Fields(Map<String, Value>),
}

from_object_only!(CohereRerankRequest);

/// Documents to put into order, checked.
#[derive(Debug)]
pub(crate) struct Reranking {
    model: Option<String>,
    task: RerankTask,
    top_n: usize,
    /// Empty when they are not returned.
    documents: Vec<RerankDocument>,
}

impl JsonBody for CohereRerankRequest {
    type Checked = Reranking;

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        let (max, limit) = (limits.max_rerank_candidates, "limits.max_rerank_candidates");
        vec![ListLimit::new("/documents", "documents", max, limit)]
    }

    fn check(self, limits: &Limits) -> Result<Reranking, ApiError> {
        if self.top_n == Some(0) {
            return Err(ApiError::invalid(
                "/top_n",
                "top_n is 0; 1 or more are allowed",
            ));
        }
        let fields = self.rank_fields.as_deref();
        let texts = self.documents.iter().enumerate();
        let texts = texts.map(|(place, document)| {
            let text = document.text(fields);
            text.map_err(|error| error.at(format!("/documents/{place}")))
        });
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        check_query_and_texts(&self.query, &texts, "/documents", limits)?;
        Ok(Reranking {
            model: self.model,
            top_n: self.top_n.unwrap_or(usize::MAX),
            documents: match self.return_documents {
                Some(true) => self.documents,
                Some(false) | None => Vec::new(),
            },
            task: RerankTask {
                query: self.query,
                texts: RerankTexts::Given(texts),
            },
        })
    }
}

impl RerankDocument {
    fn text(&self, fields: Option<&[String]>) -> Result<String, ApiError> {
        let object = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::Fields(object) => object,
        };
        let default = [TEXT_FIELD.to_owned()];
        let fields = fields.filter(|fields| !fields.is_empty());
        let fields = fields.unwrap_or(&default);
        let values: Vec<String> = fields
            .iter()
            .filter_map(|field| object.get(field))
            .map(|value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
            .collect();
        if values.is_empty() {
            let detail = format!("the document has no field {}", fields.join(" or "));
            return Err(ApiError::invalid("", detail));
        }
        Ok(values.join("\n"))
    }

    /// As it is returned: always an object.
    fn shown(self) -> Map<String, Value> {
        match self {
            Self::Text(text) => Map::from_iter([(TEXT_FIELD.to_owned(), Value::String(text))]),
            Self::Fields(object) => object,
        }
    }
}

/// Documents in their order, the best first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CohereRerankResponse {
    /// New for each answer.
    id: String,
    results: Vec<RankedDocument>,
    meta: Meta,
}

/// One of the documents.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RankedDocument {
    /// Its place in the request.
    index: usize,
    /// How well it answers the query, 0 to 1.
    relevance_score: f32,
    /// With `return_documents`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    document: Option<Map<String, Value>>,
}

/// Put documents into order, as version 1 of Cohere's API does.
#[utoipa::path(
    post, path = "/v1/rerank", operation_id = "v1_rerank", tag = "reranker",
    request_body = CohereRerankRequest,
    responses(
        (status = 200, body = CohereRerankResponse),
        BodyProblems, AnswerProblems, RerankerProblems, EngineProblems
    )
)]
pub(crate) async fn post_v1(
    State(app): State<App>,
    ApiJson(request): ApiJson<CohereRerankRequest>,
) -> Result<Response, ApiError> {
    answer(&app, request, "1").await
}

/// Put documents into order, as version 2 of Cohere's API does.
#[utoipa::path(
    post, path = "/v2/rerank", operation_id = "v2_rerank", tag = "reranker",
    request_body = CohereRerankRequest,
    responses(
        (status = 200, body = CohereRerankResponse),
        BodyProblems, AnswerProblems, RerankerProblems, EngineProblems
    )
)]
pub(crate) async fn post_v2(
    State(app): State<App>,
    ApiJson(request): ApiJson<CohereRerankRequest>,
) -> Result<Response, ApiError> {
    answer(&app, request, "2").await
}

async fn answer(
    app: &App,
    request: Reranking,
    version: &'static str,
) -> Result<Response, ApiError> {
    let Reranking {
        model,
        task,
        top_n,
        documents,
    } = request;
    let scores = ranked(app, model.as_deref(), task, OverWindow::default()).await?;
    let room = app.room();
    blocking_steps(move |cancel| {
        let mut documents: Vec<Option<RerankDocument>> = documents.into_iter().map(Some).collect();
        let results = scores.into_iter().take(top_n);
        let results = results.map(|(index, pair)| RankedDocument {
            index,
            relevance_score: logistic(pair.logit),
            document: documents
                .get_mut(index)
                .and_then(Option::take)
                .map(RerankDocument::shown),
        });
        let response = CohereRerankResponse {
            id: Uuid::now_v7().to_string(),
            results: results.collect(),
            meta: Meta::of_search(version),
        };
        answer::json(room.until(cancel), &response)
    })
    .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(document: Value, fields: Option<&[&str]>) -> Option<String> {
        let document: RerankDocument = serde_json::from_value(document).unwrap();
        let fields =
            fields.map(|fields| fields.iter().map(ToString::to_string).collect::<Vec<_>>());
        document.text(fields.as_deref()).ok()
    }

    #[test]
    fn the_text_of_a_document_is_its_string_or_the_fields_that_are_named() {
        let object = json!({"title": "Login", "text": "Reset it.", "year": 2020});
        for (document, fields, expected) in [
            (json!("Reset it."), None, Some("Reset it.")),
            (json!("Reset it."), Some(&["title"][..]), Some("Reset it.")),
            (object.clone(), None, Some("Reset it.")),
            (object.clone(), Some(&[][..]), Some("Reset it.")),
            (
                object.clone(),
                Some(&["title", "year"]),
                Some("Login\n2020"),
            ),
            (object.clone(), Some(&["title", "author"]), Some("Login")),
            (object, Some(&["author"]), None),
            (json!({"title": "Login"}), None, None),
        ] {
            let read = text(document.clone(), fields);
            assert_eq!(read.as_deref(), expected, "{document} {fields:?}");
        }
    }
}
