//! Generations of a collection: other settings for the same documents, without a second of downtime.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use siamese_encoder::Encoder;
use siamese_index::{Chunking, CollectionEncoder, CollectionSettings, GenerationState};
use utoipa::ToSchema;

use super::chunking::ChunkingShape;
use super::collections::{CollectionEncoderShape, IndexRequest, graph_settings, language};
use super::generation_warnings::{GenerationWarning, passage_size, warnings};
use super::problems::{
    BodyProblems, CollectionProblems, ConflictProblems, EngineProblems, GenerationProblems,
    ParameterProblems, WriteProblems,
};
use super::timestamp::rfc3339;
use crate::access::{CollectionName, Principal};
use crate::app::App;
use crate::backend::Generation;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{GenerationNumber, JsonBody, OptionalJson, from_object_only, present};
use crate::service::{blocking, blocking_write, default_chunking, fill_job, window};

/// Settings of a generation. What is left out is as in the active one.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct GenerationRequest {
    /// What encodes the texts: a name of `[encoders.NAME]`, or `default`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    encoder: Option<String>,
    /// How long texts become passages. Without it as in a generation that this encoder has made already, or as in the
    /// active one, if that fits the encoder's window.
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
    passage_size(chunking).is_none_or(|size| size.max_tokens <= window(encoder))
}

/// What a generation is for.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GenerationStateShape {
    /// It lacks documents that were there when it was made; a job fills it.
    Filling,
    /// It lacks documents, and its job was ended: nothing fills it, after a restart neither, until `resume`.
    Paused,
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
            GenerationState::Paused => Self::Paused,
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

impl GenerationDescription {
    /// # Errors
    /// When the backend fails.
    fn of(generation: Generation) -> Result<Self, ApiError> {
        let reader = generation.collection.reader;
        let (stats, settings) = (reader.stats()?, reader.settings());
        Ok(Self {
            generation: generation.number,
            state: generation.state.into(),
            encoder: CollectionEncoderShape::of(&*reader),
            chunking: settings.chunking.into(),
            lexical: settings.lexical,
            documents: stats.documents,
            passages: stats.passages,
            bytes: stats.segment_bytes + stats.lexical_bytes,
            created_at: rfc3339(stats.created_at_ms),
        })
    }
}

/// All generations of a collection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GenerationList {
    /// By their numbers.
    generations: Vec<GenerationDescription>,
}

/// A generation that is being filled, or that was there.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StartedGeneration {
    /// Its number.
    #[schema(example = 2)]
    generation: u32,
    state: GenerationStateShape,
    /// The id of the job that fills it: `GET /jobs/{id}` says how far it is, and `DELETE /jobs/{id}` lets it pause. Not
    /// there when nothing is to be filled, nor on a cluster, where `state` of the generation says when it is `ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    /// What the caller should know although it is being filled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<GenerationWarning>,
}

/// List the generations of a collection.
#[utoipa::path(
    get, path = "/collections/{collection}/generations", operation_id = "list_generations", tag = "collections",
    params(("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    responses((status = 200, body = GenerationList), CollectionProblems, ParameterProblems, EngineProblems)
)]
pub(crate) async fn list(
    State(app): State<App>,
    name: CollectionName,
) -> Result<Json<GenerationList>, ApiError> {
    let backend = app.engine()?.backend.clone();
    blocking(move || {
        let generations = backend.generations(&name)?.into_iter();
        let generations = generations.map(GenerationDescription::of);
        Ok(Json(GenerationList {
            generations: generations.collect::<Result<_, _>>()?,
        }))
    })
    .await
}

/// Make a generation: the collection's documents with another encoder, other passages, or another index. A job
/// fills it, and from the start every write goes to it as well. Reads see the active one until another is
/// activated. A generation that this encoder has made with the same settings is not made again.
#[utoipa::path(
    post, path = "/collections/{collection}/generations", operation_id = "make_generation", tag = "collections",
    params(("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    request_body = GenerationRequest,
    responses(
        (status = 202, body = StartedGeneration, description = "Made, and being filled"),
        (status = 200, body = StartedGeneration, description = "It was there already, and holds every document"),
        BodyProblems, CollectionProblems, ConflictProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    principal: Principal,
    name: CollectionName,
    OptionalJson(request): OptionalJson<GenerationRequest>,
) -> Result<Response, ApiError> {
    let engine = app.engine()?;
    let active = engine.reader(&name)?;
    let backend = engine.backend.clone();
    let (encoder, made_by) = match &request.encoder {
        Some(named) => engine.models.encoder_named(named).await?,
        None => {
            let encoder = engine.models.encoder_of(&*active).await?;
            (encoder, CollectionEncoder::clone(&active.encoder()))
        }
    };
    let gives_chunking = request.chunking.is_some();
    let mut settings = request.settings(active.settings(), &encoder)?;
    if !gives_chunking && made_by.identity.id != active.encoder().identity.id {
        let generations = backend.generations(active.name())?;
        settings.chunking = chunking_there(&generations, &settings, &made_by);
    }
    let warnings = warnings(
        engine,
        &*active,
        settings.chunking,
        &encoder,
        gives_chunking,
    )
    .await;
    let name = active.name().to_owned();
    let of = name.clone();
    let begun = blocking_write(move || {
        let begun = backend.begin_generation(&of, &settings, &made_by)?;
        if begun.state == GenerationState::Paused {
            backend.resume_generation(&of, begun.number)?;
        }
        Ok(begun)
    });
    let begun = begun.await?;
    fill(&app, &principal, name, &begun, warnings).await
}

/// Starts the job that fills a generation, unless it holds every document.
async fn fill(
    app: &App,
    principal: &Principal,
    name: String,
    Generation { number, state, .. }: &Generation,
    warnings: Vec<GenerationWarning>,
) -> Result<Response, ApiError> {
    if state.lacks_documents() {
        return start_filling(app, principal, name, *number, warnings).await;
    }
    let there = StartedGeneration {
        generation: *number,
        state: (*state).into(),
        job: None,
        warnings: Vec::new(),
    };
    Ok(Json(there).into_response())
}

/// The chunking of a generation that an encoder has made with these settings otherwise: for going back, passages need
/// not be those that the active generation has because of its own encoder.
fn chunking_there(
    generations: &[Generation],
    settings: &CollectionSettings,
    made_by: &CollectionEncoder,
) -> Chunking {
    let is_there = |chunking: &Chunking| {
        let settings = CollectionSettings {
            chunking: *chunking,
            ..*settings
        };
        let mut generations = generations.iter();
        generations.any(|generation| generation.is_made_with(&settings, made_by))
    };
    let of_generations = generations
        .iter()
        .map(|it| it.collection.reader.settings().chunking);
    let mut all = std::iter::once(settings.chunking).chain(of_generations);
    all.find(is_there).unwrap_or(settings.chunking)
}

/// Go on filling a generation whose job has failed or was ended.
#[utoipa::path(
    post, path = "/collections/{collection}/generations/{generation}/resume", operation_id = "resume_generation",
    tag = "collections",
    params(
        ("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$"),
        ("generation" = u32, Path, minimum = 1)
    ),
    responses(
        (status = 202, body = StartedGeneration, description = "Being filled"),
        (status = 200, body = StartedGeneration, description = "It holds every document"),
        GenerationProblems, ParameterProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn resume(
    State(app): State<App>,
    principal: Principal,
    name: CollectionName,
    GenerationNumber(number): GenerationNumber,
) -> Result<Response, ApiError> {
    let engine = app.engine()?;
    // An alias may stand for another collection before the job has ended.
    let name = engine.reader(&name)?.name().to_owned();
    let backend = engine.backend.clone();
    let of = name.clone();
    let resumed = blocking_write(move || {
        backend.resume_generation(&of, number)?;
        Ok(backend.generation(&of, number)?)
    });
    let resumed = resumed.await?;
    fill(&app, &principal, name, &resumed, Vec::new()).await
}

async fn start_filling(
    app: &App,
    principal: &Principal,
    name: String,
    number: u32,
    warnings: Vec<GenerationWarning>,
) -> Result<Response, ApiError> {
    // On a cluster the services see for themselves that it lacks documents, and one of them fills it.
    let Some(jobs) = app.engine()?.jobs.clone() else {
        let started = StartedGeneration {
            generation: number,
            state: GenerationStateShape::Filling,
            job: None,
            warnings,
        };
        return Ok((StatusCode::ACCEPTED, Json(started)).into_response());
    };
    let job = fill_job(app, name, number);
    let owner = principal.id().map(ToOwned::to_owned);
    let record = blocking_write(move || jobs.start(job, owner)).await?;
    let location = HeaderValue::from_str(&format!("/jobs/{}", record.id));
    let location = location.map_err(ApiError::internal)?;
    let started = StartedGeneration {
        generation: number,
        state: GenerationStateShape::Filling,
        job: Some(record.id),
        warnings,
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
    name: CollectionName,
    GenerationNumber(number): GenerationNumber,
) -> Result<Json<GenerationDescription>, ApiError> {
    let backend = app.engine()?.backend.clone();
    blocking(move || {
        let generation = backend.generation(&name, number)?;
        Ok(Json(GenerationDescription::of(generation)?))
    })
    .await
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
    name: CollectionName,
    GenerationNumber(number): GenerationNumber,
) -> Result<Json<GenerationDescription>, ApiError> {
    let engine = app.engine()?;
    let backend = engine.backend.clone();
    let (of, looked_at) = (name.clone(), backend.clone());
    let next = blocking(move || Ok(looked_at.generation(&of, number)?.collection)).await?;
    // So that the first search does not wait for a model, and none finds that there is none.
    engine.models.encoder_of(&*next.reader).await?;
    blocking_write(move || {
        backend.activate_generation(&name, number)?;
        let activated = backend.generation(&name, number)?;
        Ok(Json(GenerationDescription::of(activated)?))
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
    name: CollectionName,
    GenerationNumber(number): GenerationNumber,
) -> Result<StatusCode, ApiError> {
    let backend = app.engine()?.backend.clone();
    blocking_write(move || {
        backend.delete_generation(&name, number)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
