//! What keeps the documents, and what that cannot do.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::problems::EngineProblems;
use crate::app::App;
use crate::backend::{Capability, Difference};
use crate::error::ApiError;

/// What keeps the documents.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Capabilities {
    /// `embedded`: the data folder of this process. `qdrant`: a cluster.
    #[schema(example = "embedded")]
    backend: &'static str,
    /// What is answered with `not_supported_here`; empty for `embedded`, which supports everything.
    not_supported: Vec<CapabilityShape>,
    /// What is answered, and in another way than this description says; empty for `embedded`.
    differences: Vec<CapabilityShape>,
}

/// Something that the backend cannot do, or does in another way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CapabilityShape {
    /// Its name.
    #[schema(example = "clusters")]
    name: &'static str,
    /// What that means.
    detail: &'static str,
}

impl From<&Difference> for CapabilityShape {
    fn from(difference: &Difference) -> Self {
        Self {
            name: difference.name,
            detail: difference.explanation,
        }
    }
}

impl From<Capability> for CapabilityShape {
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
        differences: backend.differences().iter().map(Into::into).collect(),
    }))
}
