//! The API's description.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::error::ApiError;
use crate::openapi::Served;

/// What Swagger UI may load and do: as the page to search with, and the one style that it puts into its page; the hash is
/// that of its text.
pub(crate) const DOCS_POLICY: &str = "default-src 'none'; connect-src 'self'; img-src 'self' data:; \
     script-src 'self'; style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /openapi.yaml`.
pub(crate) async fn openapi_yaml(State(app): State<App>) -> Result<Response, ApiError> {
    let yaml = app.description().yaml(&served(&app));
    let yaml = yaml.map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/yaml")], yaml).into_response())
}

/// `GET /openapi.json`.
pub(crate) async fn openapi_json(State(app): State<App>) -> Result<Response, ApiError> {
    let json = app.description().json(&served(&app));
    let json = json.map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// What the description says of this service.
fn served(app: &App) -> Served {
    let engine = app.engine().ok();
    Served {
        dimensions: engine.map(|engine| engine.models.encoder().info().dimensions),
        asks_for_keys: app.access().is_closed(),
    }
}
