//! Aliases: other names of collections, switched in one step.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use siamese_index::{Alias, check_collection_name};
use utoipa::ToSchema;

use super::problems::{
    AliasProblems, BodyProblems, CollectionProblems, ConflictProblems, EngineProblems,
    ParameterProblems, WriteProblems,
};
use crate::access::Principal;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiPath, JsonBody, from_object_only};
use crate::service::{blocking, blocking_write};

/// What an alias is to stand for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct AliasRequest {
    /// The name of a collection.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "default")]
    collection: String,
}

from_object_only!(AliasRequest);

impl JsonBody for AliasRequest {
    type Checked = String;

    fn check(self, _limits: &Limits) -> Result<String, ApiError> {
        check_collection_name(&self.collection)
            .map_err(|error| ApiError::from(error).at("/collection"))?;
        Ok(self.collection)
    }
}

/// Another name of a collection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AliasDescription {
    /// Its name, which stands wherever a collection's name may stand.
    #[schema(example = "tickets")]
    alias: String,
    /// The collection that it stands for.
    collection: String,
}

impl From<Alias> for AliasDescription {
    fn from(alias: Alias) -> Self {
        Self {
            alias: alias.name,
            collection: alias.collection,
        }
    }
}

/// All aliases.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AliasList {
    /// Ordered by name.
    aliases: Vec<AliasDescription>,
}

/// List the aliases, with a key those that it is for.
#[utoipa::path(
    get, path = "/aliases", operation_id = "list_aliases", tag = "collections",
    responses((status = 200, body = AliasList), EngineProblems)
)]
pub(crate) async fn list(
    State(app): State<App>,
    principal: Principal,
) -> Result<Json<AliasList>, ApiError> {
    let aliases = app.engine()?.backend.aliases().into_iter();
    Ok(Json(AliasList {
        aliases: aliases
            .filter(|alias| principal.sees(&alias.name))
            .map(Into::into)
            .collect(),
    }))
}

/// Make an alias stand for a collection, from one request to the next. Requests that have begun go on with what it
/// stood for before.
#[utoipa::path(
    put, path = "/aliases/{alias}", operation_id = "put_alias", tag = "collections",
    params(("alias" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    request_body = AliasRequest,
    responses(
        (status = 201, body = AliasDescription, description = "Made now"),
        (status = 200, body = AliasDescription, description = "There already; it stands for this collection now"),
        BodyProblems, CollectionProblems, ConflictProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn put(
    State(app): State<App>,
    principal: Principal,
    ApiPath(alias): ApiPath<String>,
    ApiJson(collection): ApiJson<AliasRequest>,
) -> Result<Response, ApiError> {
    principal.collection(&alias)?;
    check_collection_name(&alias)?;
    let allowed = principal.collection(&collection);
    let allowed = allowed.map_err(|error| error.at("/collection"))?;
    let engine = app.engine()?;
    engine.reader(&allowed)?;
    let backend = engine.backend.clone();
    blocking_write(move || {
        let status = match backend.put_alias(&alias, &collection)? {
            true => StatusCode::CREATED,
            false => StatusCode::OK,
        };
        Ok((status, Json(AliasDescription { alias, collection })).into_response())
    })
    .await
}

/// Say what an alias stands for.
#[utoipa::path(
    get, path = "/aliases/{alias}", operation_id = "get_alias", tag = "collections",
    params(("alias" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    responses((status = 200, body = AliasDescription), AliasProblems, ParameterProblems, EngineProblems)
)]
pub(crate) async fn get(
    State(app): State<App>,
    principal: Principal,
    ApiPath(alias): ApiPath<String>,
) -> Result<Json<AliasDescription>, ApiError> {
    principal.collection(&alias)?;
    check_collection_name(&alias)?;
    let backend = app.engine()?.backend.clone();
    blocking(move || Ok(Json(backend.alias(&alias)?.into()))).await
}

/// Delete an alias. The collection stays.
#[utoipa::path(
    delete, path = "/aliases/{alias}", operation_id = "delete_alias", tag = "collections",
    params(("alias" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    responses(
        (status = 204, description = "Deleted"),
        AliasProblems, ParameterProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn delete(
    State(app): State<App>,
    principal: Principal,
    ApiPath(alias): ApiPath<String>,
) -> Result<StatusCode, ApiError> {
    principal.collection(&alias)?;
    check_collection_name(&alias)?;
    let backend = app.engine()?.backend.clone();
    blocking_write(move || {
        backend.delete_alias(&alias)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
