//! Collections: named sets of documents with settings of their own.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use siamese_index::{
    AliasError, CollectionEncoder, CollectionSettings, DEFAULT_ENCODER, Error, GraphSettings,
    Language, PutOutcome, VectorPrecision, WordSettings, check_collection_name,
};
use utoipa::ToSchema;

use super::chunking::ChunkingShape;
use super::health::IndexState;
use super::on_duplicate::DuplicateSettingShape;
use super::problems::{
    BodyProblems, CollectionProblems, ConflictProblems, EngineProblems, ParameterProblems,
    WriteProblems,
};
use super::timestamp::rfc3339;
use crate::access::{CollectionName, Principal};
use crate::app::{App, Engine};
use crate::backend::Reader;
use crate::config::Limits;
use crate::error::{ApiError, ErrorCode};
use crate::extract::{JsonBody, OptionalJson, from_object_only, present, whole_number};
use crate::service::{blocking, blocking_write, default_chunking};

/// Characters of an unknown language that are repeated in the error.
const MAX_SHOWN_CODE_CHARS: usize = 40;

/// Settings of a collection, chosen when it is made.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct CollectionRequest {
    /// What encodes its texts: a name of `[encoders.NAME]` in the settings, or `default` for `[encoder]`, which is also
    /// what it is without this.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, default = "default")]
    encoder: Option<String>,
    /// How long texts become passages; without it, `sentence` with its default size.
    chunking: Option<ChunkingShape>,
    /// How vectors are indexed.
    index: Option<IndexRequest>,
    /// Whether words are indexed. With `false`, documents take less memory and disk, and the modes
    /// `lexical` and `hybrid` are refused (`lexical_disabled`).
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, default = true)]
    lexical: Option<bool>,
    /// The language of the texts, by its code in ISO 639-1. Searches by words then find other forms of a
    /// word (`lamps` finds `lamp`) and pass over words that are in every text. Without it, words are found
    /// as they are written.
    #[schema(example = "en")]
    language: Option<String>,
    /// Whether accents do not count in searches by words: `cafe` finds `café`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, default = true)]
    fold_accents: Option<bool>,
    /// What becomes of documents that resemble others, when a request does not say; without it, they are stored. This
    /// and `keep_queries` are the settings that also change for a collection with documents.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    on_duplicate: Option<DuplicateSettingShape>,
    /// How many texts that were searched for last to remember, in memory, for comparing generations
    /// (`GET /collections/{name}/queries`). They may be personal data. 0, which is none, unless given.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 0, maximum = 10000)]
    keep_queries: Option<u32>,
}

impl CollectionRequest {
    /// How words are told apart.
    ///
    /// # Errors
    /// 422 for a language that is not known.
    fn words(&self) -> Result<WordSettings, ApiError> {
        let default = WordSettings::default();
        let language = self.language.as_deref().map(language).transpose()?;
        Ok(WordSettings {
            language: language.or(default.language),
            folds_accents: self.fold_accents.unwrap_or(default.folds_accents),
        })
    }
}

pub(super) fn language(code: &str) -> Result<Language, ApiError> {
    Language::from_code(code).ok_or_else(|| {
        let codes = Language::ALL.map(Language::code).join(", ");
        let code: String = code.chars().take(MAX_SHOWN_CODE_CHARS).collect();
        let detail =
            format!("{code:?} is not a language that words are stemmed in; these are: {codes}");
        ApiError::invalid("/language", detail)
    })
}

/// How vectors are indexed (HNSW). What is left out has its default.
#[derive(Debug, Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct IndexRequest {
    /// Neighbours of a vector in the graph: more find more, take more memory and time.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 4, maximum = 64, default = 16)]
    m: Option<usize>,
    /// Candidates among which neighbours are chosen, more than `m`: more find more, and building
    /// takes longer.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 5, maximum = 2000, default = 200)]
    ef_construction: Option<usize>,
    /// Candidates that a search keeps when it does not say `ef`; more, if its query needs it.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 10000, default = 64)]
    ef_search: Option<usize>,
    /// What the index holds of vectors. Scores are the same with either. `full`, unless given.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    precision: Option<PrecisionShape>,
}

/// What the index holds of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PrecisionShape {
    /// The vectors themselves, four bytes a value, and codes of them.
    Full,
    /// Codes alone, two bytes a value: half the memory. A search reads the vectors of its hits from the store, so it takes
    /// somewhat longer.
    Compact,
}

impl From<PrecisionShape> for VectorPrecision {
    fn from(shape: PrecisionShape) -> Self {
        match shape {
            PrecisionShape::Full => Self::Full,
            PrecisionShape::Compact => Self::Compact,
        }
    }
}

impl From<VectorPrecision> for PrecisionShape {
    fn from(precision: VectorPrecision) -> Self {
        match precision {
            VectorPrecision::Full => Self::Full,
            VectorPrecision::Compact => Self::Compact,
        }
    }
}

impl From<IndexRequest> for GraphSettings {
    fn from(request: IndexRequest) -> Self {
        let default = Self::default();
        Self {
            m: request.m.unwrap_or(default.m),
            ef_construction: request.ef_construction.unwrap_or(default.ef_construction),
            ef_search: request.ef_search.unwrap_or(default.ef_search),
            precision: request.precision.map_or(default.precision, Into::into),
        }
    }
}

/// How vectors and words are indexed, and how far that has come.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct IndexDescription {
    /// Neighbours of a vector in the graph.
    m: usize,
    /// Candidates among which neighbours are chosen.
    ef_construction: usize,
    /// Candidates that a search keeps when it does not say `ef`; more, if its query needs it.
    ef_search: usize,
    /// What the index holds of vectors.
    precision: PrecisionShape,
    /// Whether searches by meaning go at their usual speed.
    state: IndexState,
    /// Parts of the index, each with a graph.
    segments: u64,
    /// Size of these parts on disk, mapped to memory.
    segment_bytes: u64,
    /// Newest passages, which every search scores one by one until they become a segment.
    head_passages: u64,
    /// Deleted passages that still take up space, until segments are merged.
    dead_passages: u64,
    /// Whether searches by words go at their usual speed.
    lexical_state: IndexState,
    /// Parts of the index over words.
    lexical_segments: u64,
    /// Size of these parts on disk, mapped to memory.
    lexical_bytes: u64,
    /// Newest passages, whose words are in memory until they become a part.
    lexical_head_passages: u64,
}

from_object_only!(CollectionRequest, IndexRequest);

impl JsonBody for CollectionRequest {
    type Checked = Self;

    /// What there is to check needs the encoder.
    fn check(self, _limits: &Limits) -> Result<Self, ApiError> {
        Ok(self)
    }
}

/// What made the vectors of a collection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CollectionEncoderShape {
    /// What it was called when the collection was made.
    #[schema(example = "default")]
    name: String,
    /// The model's name.
    #[schema(example = "all-MiniLM-L6-v2")]
    model: String,
    /// As `encoder_id` of `GET /encoder`: texts are encoded by this one, whatever its name is now.
    encoder_id: String,
    /// Length of every vector.
    #[schema(example = 384)]
    dimensions: usize,
}

impl CollectionEncoderShape {
    pub(super) fn of(collection: &Reader) -> Self {
        let encoder = CollectionEncoder::clone(&collection.encoder());
        Self {
            name: encoder.name,
            model: encoder.identity.name,
            encoder_id: encoder.identity.id,
            dimensions: encoder.identity.dimensions,
        }
    }
}

/// A collection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CollectionDescription {
    /// Its name.
    #[schema(example = "default")]
    name: String,
    /// Documents stored.
    documents: u64,
    /// Passages stored; each has one vector.
    passages: u64,
    encoder: CollectionEncoderShape,
    chunking: ChunkingShape,
    /// Whether words are indexed.
    lexical: bool,
    /// The language in which words are stemmed (ISO 639-1), if there is one.
    #[schema(example = "en")]
    language: Option<&'static str>,
    /// Whether accents do not count in searches by words.
    fold_accents: bool,
    on_duplicate: DuplicateSettingShape,
    /// How many texts that were searched for last are remembered.
    keep_queries: u32,
    index: IndexDescription,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
}

/// All collections.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CollectionList {
    /// Ordered by name.
    collections: Vec<CollectionDescription>,
}

impl CollectionDescription {
    /// What is known of a collection.
    ///
    /// # Errors
    /// When the backend cannot say how much is in it.
    fn of(collection: &Reader) -> Result<Self, Error> {
        let stats = collection.stats()?;
        let CollectionSettings {
            chunking,
            graph,
            lexical,
            words,
            on_duplicate,
            keep_queries,
        } = collection.settings();
        Ok(Self {
            name: collection.name().to_owned(),
            documents: stats.documents,
            passages: stats.passages,
            encoder: CollectionEncoderShape::of(collection),
            chunking: chunking.into(),
            lexical,
            language: words.language.map(Language::code),
            fold_accents: words.folds_accents,
            on_duplicate: on_duplicate.into(),
            keep_queries,
            index: IndexDescription {
                m: graph.m,
                ef_construction: graph.ef_construction,
                ef_search: graph.ef_search,
                precision: graph.precision.into(),
                state: IndexState::of(stats.is_rebuilding),
                segments: stats.segments,
                segment_bytes: stats.segment_bytes,
                head_passages: stats.head_passages,
                dead_passages: stats.dead_passages,
                lexical_state: IndexState::of(stats.is_rebuilding_words),
                lexical_segments: stats.lexical_segments,
                lexical_bytes: stats.lexical_bytes,
                lexical_head_passages: stats.lexical_head_passages,
            },
            created_at: rfc3339(stats.created_at_ms),
        })
    }
}

/// List the collections, with a key those that it is for.
#[utoipa::path(
    get, path = "/collections", operation_id = "list_collections", tag = "collections",
    responses((status = 200, body = CollectionList), EngineProblems)
)]
pub(crate) async fn list(
    State(app): State<App>,
    principal: Principal,
) -> Result<Json<CollectionList>, ApiError> {
    let backend = app.engine()?.backend.clone();
    blocking(move || {
        let collections = backend.collections()?.into_iter();
        let collections = collections
            .filter(|collection| principal.sees(collection.reader.name()))
            .map(|collection| CollectionDescription::of(&*collection.reader));
        Ok(Json(CollectionList {
            collections: collections.collect::<Result<_, _>>()?,
        }))
    })
    .await
}

/// Make a collection, or find it as it was asked for.
#[utoipa::path(
    put, path = "/collections/{collection}", operation_id = "put_collection", tag = "collections",
    params(("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    request_body = CollectionRequest,
    responses(
        (status = 201, body = CollectionDescription, description = "Made now"),
        (status = 200, body = CollectionDescription, description = "There already, with these settings now"),
        BodyProblems, ConflictProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn put(
    State(app): State<App>,
    name: CollectionName,
    OptionalJson(request): OptionalJson<CollectionRequest>,
) -> Result<Response, ApiError> {
    check_name(&name)?;
    let engine = app.engine()?;
    let words = request.words()?;
    let encoder = request.encoder.as_deref().unwrap_or(DEFAULT_ENCODER);
    let (encoder, made_by) = engine.models.encoder_named(encoder).await?;
    let chunking = match request.chunking {
        Some(chunking) => chunking.checked(&encoder)?,
        None => default_chunking(&encoder),
    };
    let settings = CollectionSettings {
        chunking,
        graph: graph_settings(request.index.unwrap_or_default())?,
        lexical: request.lexical.unwrap_or(true),
        words,
        on_duplicate: match request.on_duplicate {
            Some(on_duplicate) => on_duplicate.checked()?,
            None => None,
        },
        keep_queries: request.keep_queries.unwrap_or_default(),
    };
    settings.check().map_err(|error| match error {
        Error::KeptQueries { .. } => ApiError::invalid("/keep_queries", error.to_string()),
        error => error.into(),
    })?;
    let (backend, kept) = (engine.backend.clone(), app.clone());
    blocking_write(move || {
        let (collection, outcome) = backend.put_collection_of(&name, &settings, &made_by)?;
        let recent = &kept.engine()?.recent_queries;
        recent.forget(&name, settings.keep_queries as usize);
        let status = match outcome {
            PutOutcome::Created => StatusCode::CREATED,
            PutOutcome::Changed | PutOutcome::Unchanged => StatusCode::OK,
        };
        let description = CollectionDescription::of(&*collection.reader)?;
        Ok((status, Json(description)).into_response())
    })
    .await
}

/// Describe a collection.
#[utoipa::path(
    get, path = "/collections/{collection}", operation_id = "get_collection", tag = "collections",
    params(("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    responses(
        (status = 200, body = CollectionDescription),
        CollectionProblems, ParameterProblems, EngineProblems
    )
)]
pub(crate) async fn get(
    State(app): State<App>,
    name: CollectionName,
) -> Result<Json<CollectionDescription>, ApiError> {
    check_name(&name)?;
    let collection = app.engine()?.reader(&name)?;
    blocking(move || Ok(Json(CollectionDescription::of(&*collection)?))).await
}

/// Delete a collection with all its documents. Deleting `default` empties it.
#[utoipa::path(
    delete, path = "/collections/{collection}", operation_id = "delete_collection", tag = "collections",
    params(("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    responses(
        (status = 204, description = "Deleted"),
        CollectionProblems, ParameterProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn delete(
    State(app): State<App>,
    principal: Principal,
    name: CollectionName,
) -> Result<StatusCode, ApiError> {
    check_name(&name)?;
    let engine: &Engine = app.engine()?;
    engine.reader(&name)?;
    let (backend, kept) = (engine.backend.clone(), app.clone());
    blocking_write(move || {
        let deleted = backend.delete_collection(&name);
        deleted.map_err(|error| without_hidden_alias(error, &principal))?;
        kept.engine()?.recent_queries.forget(&name, 0);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// An alias that the key is not for is not named.
fn without_hidden_alias(error: Error, principal: &Principal) -> ApiError {
    match &error {
        Error::Alias(AliasError::StandsFor { alias, name }) if !principal.sees(alias) => {
            let detail = format!("an alias stands for the collection {name:?}");
            ApiError::new(ErrorCode::Conflict, detail)
        }
        _ => error.into(),
    }
}

pub(super) fn graph_settings(request: IndexRequest) -> Result<GraphSettings, ApiError> {
    let settings = GraphSettings::from(request);
    settings.check().map_err(|error| match error {
        Error::GraphSetting { field, .. } => {
            ApiError::invalid(format!("/index/{field}"), error.to_string())
        }
        error => error.into(),
    })?;
    Ok(settings)
}

fn check_name(name: &str) -> Result<(), ApiError> {
    Ok(check_collection_name(name)?)
}
