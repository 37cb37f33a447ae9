//! How errors look to clients of other services.
//!
//! Every error is a problem document. On the routes that other services have, it has beside that the
//! members that their clients read.

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{ErrorCode, Problem};

/// Another service whose clients a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    TextEmbeddingsInference,
    Cohere,
}

impl Dialect {
    /// Whose clients ask for this path; nobody's for most of them.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/rerank" | "/v1/embed" => Some(Self::Cohere),
            "/embeddings" | "/models" => Some(Self::OpenAi),
            "/" | "/invocations" | "/embed" | "/embed_all" | "/predict" | "/rerank"
            | "/similarity" | "/tokenize" | "/decode" | "/info" | "/health" | "/ping" => {
                Some(Self::TextEmbeddingsInference)
            }
            // No other service has it.
            _ if path.starts_with("/models/") && path.ends_with("/train") => None,
            _ if path.starts_with("/v2/") => Some(Self::Cohere),
            _ if path.starts_with("/v1/") || path.starts_with("/models/") => Some(Self::OpenAi),
            _ => None,
        }
    }

    /// The name of the schema that describes its errors.
    pub(crate) fn schema(self) -> &'static str {
        match self {
            Self::OpenAi => "OpenAiProblem",
            Self::TextEmbeddingsInference => "TextEmbeddingsInferenceProblem",
            Self::Cohere => "CohereProblem",
        }
    }

    /// What the problem looks like to these clients.
    pub(crate) fn members(self, problem: &Problem) -> Members {
        let message = with_place(problem);
        match self {
            Self::OpenAi => Members::OpenAi(OpenAiProblem {
                error: OpenAiError {
                    message,
                    kind: match problem.status {
                        ..500 => "invalid_request_error",
                        _ => "server_error",
                    },
                    param: problem
                        .pointer
                        .as_deref()
                        .map(place)
                        .filter(|place| has_name(place)),
                    code: problem.code,
                },
            }),
            Self::TextEmbeddingsInference => {
                Members::TextEmbeddingsInference(TextEmbeddingsInferenceProblem {
                    error: message,
                    error_type: error_type(problem.code),
                })
            }
            Self::Cohere => Members::Cohere(CohereProblem { message }),
        }
    }
}

/// The members that a problem document has for clients of another service.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Members {
    OpenAi(OpenAiProblem),
    TextEmbeddingsInference(TextEmbeddingsInferenceProblem),
    Cohere(CohereProblem),
}

/// A problem for clients of OpenAI.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenAiProblem {
    error: OpenAiError,
}

/// An error in OpenAI's shape.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenAiError {
    /// What happened: names the field and the limit.
    message: String,
    /// `invalid_request_error`, or `server_error` when the request is not at fault.
    #[serde(rename = "type")]
    #[schema(example = "invalid_request_error")]
    kind: &'static str,
    /// The field at fault, when there is one.
    #[schema(example = "input[3]")]
    param: Option<String>,
    code: ErrorCode,
}

/// A problem for clients of text-embeddings-inference.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TextEmbeddingsInferenceProblem {
    /// What happened: names the field and the limit.
    error: String,
    /// `Validation`, `Overloaded`, `Unhealthy` or `Backend`.
    #[schema(example = "Validation")]
    error_type: &'static str,
}

/// A problem for clients of Cohere.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CohereProblem {
    /// What happened: names the field and the limit.
    message: String,
}

fn error_type(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Overloaded | ErrorCode::BudgetExceeded => "Overloaded",
        ErrorCode::NotReady => "Unhealthy",
        ErrorCode::RerankerNotFound => "Backend",
        code if code.status().is_client_error() => "Validation",
        _ => "Backend",
    }
}

/// The sentence, after the field that it is about: these clients show nothing else.
fn with_place(problem: &Problem) -> String {
    let place = problem
        .pointer
        .as_deref()
        .map(place)
        .filter(|place| has_name(place));
    match place {
        Some(place) => format!("{place}: {}", problem.detail),
        None => problem.detail.clone(),
    }
}

fn has_name(place: &str) -> bool {
    !place.is_empty()
}

/// A JSON pointer such as `/input/3/text` as `input[3].text`.
fn place(pointer: &str) -> String {
    let mut place = String::new();
    for token in pointer.split('/').skip(1) {
        if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) {
            place.push_str(&format!("[{token}]"));
            continue;
        }
        if !place.is_empty() {
            place.push('.');
        }
        place.push_str(&token.replace("~1", "/").replace("~0", "~"));
    }
    place
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ApiError;

    fn members(path: &str, error: &ApiError) -> serde_json::Value {
        let dialect = Dialect::of(path).unwrap();
        serde_json::to_value(dialect.members(&error.problem(None))).unwrap()
    }

    #[test]
    fn each_service_gets_the_members_that_its_clients_read() {
        let error = ApiError::invalid("/input/3/text", "it is empty");
        assert_eq!(
            members("/v1/embeddings", &error),
            json!({"error": {
                "message": "input[3].text: it is empty", "type": "invalid_request_error",
                "param": "input[3].text", "code": "invalid_request",
            }})
        );
        assert_eq!(
            members("/embed", &error),
            json!({"error": "input[3].text: it is empty", "error_type": "Validation"})
        );
        assert_eq!(
            members("/v2/rerank", &error),
            json!({"message": "input[3].text: it is empty"})
        );
        let overloaded = ApiError::overloaded("too much", 1);
        assert_eq!(members("/rerank", &overloaded)["error_type"], "Overloaded");
        let openai = members("/models/a/b", &overloaded);
        assert_eq!(openai["error"]["type"], "server_error");
        assert!(openai["error"]["param"].is_null());
    }

    #[test]
    fn the_own_routes_have_no_dialect() {
        for path in [
            "/search",
            "/documents/v1",
            "/collections/v1/search",
            "/livez",
        ] {
            assert_eq!(Dialect::of(path), None, "{path}");
        }
        assert_eq!(Dialect::of("/v1/nothing"), Some(Dialect::OpenAi));
        assert_eq!(Dialect::of("/v1/rerank"), Some(Dialect::Cohere));
    }
}
