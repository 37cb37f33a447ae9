//! The API's description and the page to search with.

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use crate::app::App;
use crate::error::ApiError;
use crate::openapi;

/// `GET /openapi.yaml`.
pub(crate) async fn openapi_yaml(State(app): State<App>) -> Result<Response, ApiError> {
    let yaml = openapi::served_yaml(dimensions(&app)).map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/yaml")], yaml).into_response())
}

/// `GET /openapi.json`.
pub(crate) async fn openapi_json(State(app): State<App>) -> Result<Response, ApiError> {
    let json = openapi::served_json(dimensions(&app)).map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

fn dimensions(app: &App) -> Option<usize> {
    app.engine()
        .ok()
        .map(|engine| engine.encoder.info().dimensions)
}

/// `GET /`: a page to search with. It needs nothing from elsewhere.
pub(crate) async fn page() -> Response {
    let policy = "default-src 'none'; connect-src 'self'; img-src 'self' data:; \
                  script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = [(header::CONTENT_SECURITY_POLICY, policy)];
    (headers, Html(include_str!("../../assets/index.html"))).into_response()
}
