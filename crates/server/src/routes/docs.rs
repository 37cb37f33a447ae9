//! The API's description and the page to search with.

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use crate::app::App;
use crate::error::ApiError;
use crate::openapi::Served;

/// What the pages may load and do: what comes from this service, and no inline scripts or styles.
const PAGE_POLICY: &str = "default-src 'none'; connect-src 'self'; img-src 'self' data:; \
     script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The same for Swagger UI, which puts one style into its page; the hash is that of its text.
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

/// A page to search with.
///
/// It needs nothing from elsewhere.
#[utoipa::path(
    get, path = "/", operation_id = "page", tag = "operations",
    responses((status = 200, body = String, content_type = "text/html"))
)]
pub(crate) async fn page() -> Response {
    let headers = [(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)];
    (headers, Html(include_str!("../../assets/index.html"))).into_response()
}

/// `GET /page.css`.
pub(crate) async fn page_style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (headers, include_str!("../../assets/page.css")).into_response()
}

/// `GET /page.js`.
pub(crate) async fn page_script() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (headers, include_str!("../../assets/page.js")).into_response()
}

/// `GET /key.js`.
pub(crate) async fn key_script() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (headers, include_str!("../../assets/key.js")).into_response()
}

/// `GET /generations.js`.
pub(crate) async fn generations_script() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (headers, include_str!("../../assets/generations.js")).into_response()
}
