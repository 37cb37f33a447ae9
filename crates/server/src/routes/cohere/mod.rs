//! The routes of Cohere's API that its clients need for embeddings and reranking.

pub(crate) mod embed;
pub(crate) mod rerank;

use serde::Serialize;
use utoipa::ToSchema;

/// About the answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Meta {
    api_version: ApiVersion,
    billed_units: BilledUnits,
}

/// The version of Cohere's API that the answer has the shape of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiVersion {
    /// `1` or `2`.
    #[schema(example = "2")]
    version: &'static str,
}

/// What the request took. Nobody is billed for it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BilledUnits {
    /// Tokens that were encoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<usize>,
    /// Always 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    search_units: Option<u32>,
}

impl Meta {
    fn of_tokens(version: &'static str, tokens: usize) -> Self {
        Self {
            api_version: ApiVersion { version },
            billed_units: BilledUnits {
                input_tokens: Some(tokens),
                search_units: None,
            },
        }
    }

    fn of_search(version: &'static str) -> Self {
        Self {
            api_version: ApiVersion { version },
            billed_units: BilledUnits {
                input_tokens: None,
                search_units: Some(1),
            },
        }
    }
}
