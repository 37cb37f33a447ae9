//! Path and query parameters.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query, RawPathParams};
use axum::http::Uri;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::error::{ApiError, ErrorCode};

/// The collection of routes that name none.
pub(crate) const DEFAULT_COLLECTION: &str = "default";

/// Path parameters; a refusal is a 404, since such an address leads nowhere.
#[derive(Debug)]
pub(crate) struct ApiPath<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Path::from_request_parts(parts, app)
            .await
            .map(|Path(value)| Self(value))
            .map_err(|rejection: PathRejection| {
                ApiError::new(ErrorCode::NotFound, rejection.body_text())
            })
    }
}

/// Query parameters; a refusal is a 422.
#[derive(Debug)]
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Query::from_request_parts(parts, app)
            .await
            .map(|Query(value)| Self(value))
            .map_err(|rejection: QueryRejection| {
                ApiError::new(ErrorCode::InvalidRequest, rejection.body_text())
            })
    }
}

/// The parameters of an address, in their order.
///
/// # Errors
/// 422 when they cannot be read.
pub(crate) fn query_pairs(uri: &Uri) -> Result<Vec<(String, String)>, ApiError> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|rejection| ApiError::new(ErrorCode::InvalidRequest, rejection.body_text()))?;
    // What is no UTF-8 has become this character, unless it was there.
    let is_there = uri.query().is_some_and(|query| {
        query
            .to_ascii_uppercase()
            .contains(REPLACEMENT_PERCENT_ENCODED)
    });
    let is_replaced = |text: &str| text.contains(char::REPLACEMENT_CHARACTER) && !is_there;
    let broken = pairs
        .iter()
        .find(|(name, value)| is_replaced(name) || is_replaced(value));
    match broken {
        Some((name, _)) => {
            let detail = format!("the parameter {name} is not valid UTF-8 when percent-decoded");
            Err(ApiError::new(ErrorCode::InvalidRequest, detail))
        }
        None => Ok(pairs),
    }
}

const REPLACEMENT_PERCENT_ENCODED: &str = "%EF%BF%BD";

/// `POST /documents/delete` has a path of its own, in which no parameter stands for the document with
/// this id.
const SHADOWED_ID: &str = "delete";

/// The `{id}` of a document's address, percent-decoded.
#[derive(Debug)]
pub(crate) struct DocumentId(pub(crate) String);

impl FromRequestParts<App> for DocumentId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let id = path_param(parts, app, "id").await?;
        Ok(Self(id.unwrap_or_else(|| SHADOWED_ID.to_owned())))
    }
}

/// The `{generation}` of a path; what is no number leads nowhere.
#[derive(Debug)]
pub(crate) struct GenerationNumber(pub(crate) u32);

impl FromRequestParts<App> for GenerationNumber {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let ApiPath((_, number)) = ApiPath::<(String, u32)>::from_request_parts(parts, app).await?;
        Ok(Self(number))
    }
}

async fn path_param(
    parts: &mut Parts,
    app: &App,
    wanted: &str,
) -> Result<Option<String>, ApiError> {
    let params = RawPathParams::from_request_parts(parts, app)
        .await
        .map_err(|rejection| ApiError::new(ErrorCode::NotFound, rejection.body_text()))?;
    Ok(params
        .iter()
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value.to_owned()))
}
