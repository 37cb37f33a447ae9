//! What keeps the documents, and what that cannot do.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::problems::EngineProblems;
use crate::app::App;
use crate::backend::Capability;
use crate::error::ApiError;

/// What keeps the documents.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Capabilities {
    /// `embedded`: the data folder of this process.
    #[schema(example = "embedded")]
    backend: &'static str,
    /// What is answered with `not_supported_here`; empty for `embedded`, which supports everything.
    not_supported: Vec<MissingCapability>,
}

/// Something that the backend cannot do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MissingCapability {
    /// Its name, as the `detail` of a problem has it.
    #[schema(example = "clusters")]
    name: &'static str,
    /// What does not work without it.
    detail: &'static str,
}

impl From<Capability> for MissingCapability {
    fn from(capability: Capability) -> Self {
        Self {
            name: capability.name(),
            detail: capability.explanation(),
        }
    }
}

/// Say what keeps the documents, and which parts of this description it does not support.
#[utoipa::path(
    get, path = "/capabilities", operation_id = "capabilities", tag = "operations",
    responses((status = 200, body = Capabilities), EngineProblems)
)]
pub(crate) async fn capabilities(State(app): State<App>) -> Result<Json<Capabilities>, ApiError> {
    let backend = &app.engine()?.backend;
    let missing = backend.not_supported().into_iter();
    Ok(Json(Capabilities {
        backend: backend.name(),
        not_supported: missing.map(Into::into).collect(),
    }))
}
