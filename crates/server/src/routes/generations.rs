//! Generations of a collection: other settings for the same documents, without a second of downtime.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use siamese_encoder::Encoder;
use siamese_index::{
    Chunking, CollectionEncoder, CollectionSettings, Generation, GenerationState, PassageSize,
};
use utoipa::ToSchema;

use super::collections::{
    ChunkingShape, CollectionEncoderShape, IndexRequest, graph_settings, language,
};
use super::problems::{
    BodyProblems, CollectionProblems, ConflictProblems, EngineProblems, GenerationProblems,
    ParameterProblems, WriteProblems,
};
use super::timestamp::rfc3339;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiPath, JsonBody, OptionalJson, from_object_only, present};
use crate::service::{blocking, blocking_write, default_chunking, fill_job, window};

/// Settings of a generation. What is left out is as in the active one.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct GenerationRequest {
    /// What encodes the texts: a name of `[encoders.NAME]`, or `default`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    encoder: Option<String>,
    /// How long texts become passages. Without it as in the active generation, if that fits the encoder's window.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    chunking: Option<ChunkingShape>,
    /// How vectors are indexed. What is left out of it has its default.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    index: Option<IndexRequest>,
    /// Whether words are indexed.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    lexical: Option<bool>,
    /// The language of the texts, by its code in ISO 639-1.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "en")]
    language: Option<String>,
    /// Whether accents do not count in searches by words.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    fold_accents: Option<bool>,
}

from_object_only!(GenerationRequest);

impl JsonBody for GenerationRequest {
    type Checked = Self;

    /// What there is to check needs the encoder.
    fn check(self, _limits: &Limits) -> Result<Self, ApiError> {
        Ok(self)
    }
}

impl GenerationRequest {
    fn settings(
        self,
        active: CollectionSettings,
        encoder: &Encoder,
    ) -> Result<CollectionSettings, ApiError> {
        let mut settings = active;
        settings.chunking = match self.chunking {
            Some(chunking) => chunking.checked(encoder)?,
            None if fits(active.chunking, encoder) => active.chunking,
            None => default_chunking(encoder),
        };
        if let Some(index) = self.index {
            settings.graph = graph_settings(index)?;
        }
        settings.lexical = self.lexical.unwrap_or(settings.lexical);
        if let Some(code) = self.language {
            settings.words.language = Some(language(&code)?);
        }
        settings.words.folds_accents = self.fold_accents.unwrap_or(settings.words.folds_accents);
        Ok(settings)
    }
}

/// Whether passages of this size fit an encoder's window.
fn fits(chunking: Chunking, encoder: &Encoder) -> bool {
    match chunking {
        Chunking::Off => true,
        Chunking::Sentence(size) | Chunking::Fixed(size) | Chunking::Paragraph(size) => {
            let PassageSize { max_tokens, .. } = size;
            max_tokens <= window(encoder)
        }
    }
}

/// What a generation is for.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GenerationStateShape {
    /// It lacks documents that were there when it was made; a job fills it.
    Filling,
    /// It holds every document, and can be activated.
    Ready,
    /// Reads see it.
    Active,
    /// It was active before, holds every document, and can be activated again.
    Retired,
}

impl From<GenerationState> for GenerationStateShape {
    fn from(state: GenerationState) -> Self {
        match state {
            GenerationState::Filling => Self::Filling,
            GenerationState::Ready => Self::Ready,
            GenerationState::Active => Self::Active,
            GenerationState::Retired => Self::Retired,
        }
    }
}

/// A generation of a collection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GenerationDescription {
    /// Its number; the first is 1.
    generation: u32,
    state: GenerationStateShape,
    encoder: CollectionEncoderShape,
    chunking: ChunkingShape,
    /// Whether words are indexed.
    lexical: bool,
    /// Documents in it.
    documents: u64,
    /// Passages in it; each has one vector.
    passages: u64,
    /// Bytes of its indexes on the disk, beside the record.
    bytes: u64,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<Generation> for GenerationDescription {
    fn from(generation: Generation) -> Self {
        let reader = generation.collection.reader();
        let (stats, settings) = (reader.stats(), reader.settings());
        Self {
            generation: generation.number,
            state: generation.state.into(),
            encoder: CollectionEncoderShape::of(reader),
            chunking: settings.chunking.into(),
            lexical: settings.lexical,
            documents: stats.documents,
            passages: stats.passages,
            bytes: stats.segment_bytes + stats.lexical_bytes,
            created_at: rfc3339(stats.created_at_ms),
        }
    }
}

/// All generations of a collection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GenerationList {
    /// By their numbers.
    generations: Vec<GenerationDescription>,
}

/// A generation that is being filled.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StartedGeneration {
    /// Its number.
    #[schema(example = 2)]
    generation: u32,
    /// The id of the job that fills it: `GET /jobs/{id}` says how far it is, and `DELETE /jobs/{id}` lets it pause.
    job: String,
}

/// List the generations of a collection.
#[utoipa::path(
    get, path = "/collections/{collection}/generations", operation_id = "list_generations", tag = "collections",
    params(("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    responses((status = 200, body = GenerationList), CollectionProblems, ParameterProblems, EngineProblems)
)]
pub(crate) async fn list(
    State(app): State<App>,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<GenerationList>, ApiError> {
    let index = Arc::clone(&app.engine()?.index);
    blocking(move || {
        let generations = index.generations(&name)?.into_iter();
        Ok(Json(GenerationList {
            generations: generations.map(Into::into).collect(),
        }))
    })
    .await
}

/// Make a generation: the collection's documents with another encoder, other passages, or another index. A job
/// fills it, and from the start every write goes to it as well. Reads see the active one until another is
/// activated.
#[utoipa::path(
    post, path = "/collections/{collection}/generations", operation_id = "make_generation", tag = "collections",
    params(("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    request_body = GenerationRequest,
    responses(
        (status = 202, body = StartedGeneration, description = "Made, and being filled"),
        BodyProblems, CollectionProblems, ConflictProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    ApiPath(name): ApiPath<String>,
    OptionalJson(request): OptionalJson<GenerationRequest>,
) -> Result<Response, ApiError> {
    let engine = app.engine()?;
    let active = engine.reader(&name)?;
    let (encoder, made_by) = match &request.encoder {
        Some(named) => engine.models.encoder_named(named).await?,
        None => {
            let encoder = engine.models.encoder_of(&active).await?;
            (encoder, CollectionEncoder::clone(&active.encoder()))
        }
    };
    let settings = request.settings(active.settings(), &encoder)?;
    let index = Arc::clone(&engine.index);
    let of = name.clone();
    let number =
        blocking_write(move || Ok(index.begin_generation(&of, &settings, &made_by)?)).await?;
    start_filling(&app, name, number).await
}

/// Go on filling a generation whose job has failed or was cancelled.
#[utoipa::path(
    post, path = "/collections/{collection}/generations/{generation}/resume", operation_id = "resume_generation",
    tag = "collections",
    params(
        ("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$"),
        ("generation" = u32, Path, minimum = 1)
    ),
    responses(
        (status = 202, body = StartedGeneration, description = "Being filled"),
        GenerationProblems, ParameterProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn resume(
    State(app): State<App>,
    ApiPath((name, number)): ApiPath<(String, u32)>,
) -> Result<Response, ApiError> {
    let index = Arc::clone(&app.engine()?.index);
    let of = name.clone();
    blocking(move || Ok(index.generation(&of, number)?)).await?;
    start_filling(&app, name, number).await
}

async fn start_filling(app: &App, name: String, number: u32) -> Result<Response, ApiError> {
    let (jobs, job) = (app.engine()?.jobs.clone(), fill_job(app, name, number));
    let record = blocking_write(move || jobs.start(job)).await?;
    let location = HeaderValue::from_str(&format!("/jobs/{}", record.id));
    let location = location.map_err(ApiError::internal)?;
    let started = StartedGeneration {
        generation: number,
        job: record.id,
    };
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Json(started),
    )
        .into_response())
}

/// Describe a generation.
#[utoipa::path(
    get, path = "/collections/{collection}/generations/{generation}", operation_id = "get_generation",
    tag = "collections",
    params(
        ("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$"),
        ("generation" = u32, Path, minimum = 1)
    ),
    responses((status = 200, body = GenerationDescription), GenerationProblems, ParameterProblems, EngineProblems)
)]
pub(crate) async fn get(
    State(app): State<App>,
    ApiPath((name, number)): ApiPath<(String, u32)>,
) -> Result<Json<GenerationDescription>, ApiError> {
    let index = Arc::clone(&app.engine()?.index);
    blocking(move || Ok(Json(index.generation(&name, number)?.into()))).await
}

/// Let reads see a generation. The one before is kept and written to, so that going back is the same call,
/// until it is deleted. Cursors of the one before end (410).
#[utoipa::path(
    post, path = "/collections/{collection}/generations/{generation}/activate", operation_id = "activate_generation",
    tag = "collections",
    params(
        ("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$"),
        ("generation" = u32, Path, minimum = 1)
    ),
    responses(
        (status = 200, body = GenerationDescription),
        GenerationProblems, ParameterProblems, ConflictProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn activate(
    State(app): State<App>,
    ApiPath((name, number)): ApiPath<(String, u32)>,
) -> Result<Json<GenerationDescription>, ApiError> {
    let engine = app.engine()?;
    let index = Arc::clone(&engine.index);
    let (of, looked_at) = (name.clone(), Arc::clone(&index));
    let next = blocking(move || Ok(looked_at.generation(&of, number)?.collection)).await?;
    // So that the first search does not wait for a model, and none finds that there is none.
    engine.models.encoder_of(next.reader()).await?;
    blocking_write(move || {
        index.activate_generation(&name, number)?;
        Ok(Json(index.generation(&name, number)?.into()))
    })
    .await
}

/// Delete a generation that is not active, also one that is being filled.
#[utoipa::path(
    delete, path = "/collections/{collection}/generations/{generation}", operation_id = "delete_generation",
    tag = "collections",
    params(
        ("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$"),
        ("generation" = u32, Path, minimum = 1)
    ),
    responses(
        (status = 204, description = "Deleted"),
        GenerationProblems, ParameterProblems, ConflictProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn delete(
    State(app): State<App>,
    ApiPath((name, number)): ApiPath<(String, u32)>,
) -> Result<StatusCode, ApiError> {
    let index = Arc::clone(&app.engine()?.index);
    blocking_write(move || {
        index.delete_generation(&name, number)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
