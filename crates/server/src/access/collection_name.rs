//! The name of a collection that the caller may use.

use std::ops::Deref;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::principal::Principal;
use crate::app::App;
use crate::error::{ApiError, ErrorCode};
use crate::extract::DEFAULT_COLLECTION;

/// What readers and writers are asked for with. In a request, [`Principal::collection`] is the only one to make it, so
/// that no handler gets a collection that the caller's key is not for.
///
/// As an extractor it is `{collection}` of the path, else `default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CollectionName(String);

impl CollectionName {
    pub(super) fn allowed(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name of what a caller was let into before, for work that goes on without the request.
    pub(crate) fn of_job(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl Deref for CollectionName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl FromRequestParts<App> for CollectionName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let principal = Principal::from_request_parts(parts, app).await?;
        let params = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|rejection| ApiError::new(ErrorCode::NotFound, rejection.body_text()))?;
        let mut named = params.iter().filter(|(name, _)| *name == "collection");
        let name = named.next().map_or(DEFAULT_COLLECTION, |(_, name)| name);
        principal.collection(name)
    }
}
