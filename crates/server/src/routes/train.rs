//! `POST /models/{id}/train`: a model learns from a collection.

use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use siamese_index::{DEFAULT_COLLECTION, check_collection_name};
use utoipa::ToSchema;

use super::jobs::{StartedJob, started};
use super::problems::{
    BodyProblems, ConflictProblems, EngineProblems, TrainingProblems, WriteProblems,
};
use super::training_pairs::PairsRequest;
use crate::access::Principal;
use crate::app::App;
use crate::backend::Capability;
use crate::config::{Device, Limits};
use crate::error::{ApiError, ErrorCode};
use crate::extract::{ApiJson, ApiPath, JsonBody, from_object_only, present, whole_number};
use crate::service::{PairSources, blocking};
use crate::training::{Learning, TrainTask, disabled, train_job};

/// What the path ends with, behind the model's id.
const TRAIN: &str = "/train";
const DEFAULT_EPOCHS: usize = 3;
/// Passes take this part of the memory that a training may take; weights and what the optimizer knows take more.
const PASS_SHARE: u64 = 4;
/// With more for passes, nothing is faster.
const MAX_PASS_BYTES: u64 = 1 << 30;
const DEFAULT_SEED: u64 = 42;

/// What a model is to learn from, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct TrainRequest {
    /// What the new model is called. It is an encoder of this name once the job is done.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "ours")]
    name: String,
    /// The collection with the texts.
    #[serde(default, deserialize_with = "present")]
    #[schema(
        nullable = false,
        default = "default",
        pattern = "^[A-Za-z0-9_-]{1,64}$"
    )]
    collection: Option<String>,
    /// Which of its texts belong together, as for `POST /training/pairs`.
    pairs: PairsRequest,
    /// How often each pair is learned from.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 100, default = 3)]
    epochs: Option<usize>,
    /// Pairs of a step. More make the task harder.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 2, maximum = 4096, default = 32)]
    batch_size: Option<usize>,
    /// Texts whose passes are in memory at a time; the result is that of the whole batch. As many as a quarter of
    /// `training.max_memory_bytes` has room for without it.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 4096)]
    mini_batch_size: Option<usize>,
    /// Learn thin matrices of this rank beside those of the model (LoRA), in less memory than all weights take.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 1024)]
    lora_rank: Option<usize>,
    /// The largest learning rate, above 0; 0.00002 without it, and 0.0005 with `lora_rank`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, exclusive_minimum = 0, maximum = 1)]
    learning_rate: Option<f64>,
    /// What is to become small; `triplet` needs a negative in each pair.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, inline)]
    loss: Option<LossShape>,
    /// Part of the pairs that is kept aside to measure by; 0 for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, minimum = 0, maximum = 0.5, default = 0.1)]
    held_out: Option<f64>,
    /// End after so many epochs without a better figure.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 100)]
    patience: Option<usize>,
    /// Tokens of a text that are read; the model's window without it.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    max_tokens: Option<usize>,
    /// The same seed makes the same order, split and omissions.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 0, maximum = 4_294_967_295_u32, default = 42)]
    seed: Option<u32>,
    /// Learn for so long at most; up to `training.max_minutes`, which it is without it.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 525_600)]
    max_minutes: Option<u64>,
}

/// What is to become small.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LossShape {
    /// Each anchor should be nearer to its positive than to all other texts of the step.
    MultipleNegatives,
    /// Each anchor should be nearer to its positive than to its first negative.
    Triplet,
}

from_object_only!(TrainRequest);

/// A checked request.
#[derive(Debug)]
pub(crate) struct Wanted {
    name: String,
    collection: String,
    sources: PairSources,
    learning: Learning,
    max_minutes: Option<u64>,
}

impl JsonBody for TrainRequest {
    type Checked = Wanted;

    fn check(self, limits: &Limits) -> Result<Wanted, ApiError> {
        check_collection_name(&self.name).map_err(|_| {
            let detail = "a model's name has 1 to 64 letters, digits, '_' and '-'";
            ApiError::invalid("/name", detail)
        })?;
        for (pointer, value, min, max) in [
            ("/epochs", self.epochs, 1, 100),
            ("/batch_size", self.batch_size, 2, 4096),
            ("/mini_batch_size", self.mini_batch_size, 1, 4096),
            ("/lora_rank", self.lora_rank, 1, 1024),
            ("/patience", self.patience, 1, 100),
            ("/max_tokens", self.max_tokens, 1, 1_000_000),
        ] {
            let is_fine = value.is_none_or(|value| (min..=max).contains(&value));
            check(is_fine, pointer, &format!("{min} to {max}"))?;
        }
        let rate = self.learning_rate;
        let is_fine = rate.is_none_or(|rate| rate > 0.0 && rate <= 1.0);
        check(is_fine, "/learning_rate", "above 0, to 1")?;
        let held_out = self.held_out;
        let is_fine = held_out.is_none_or(|part| (0.0..=0.5).contains(&part));
        check(is_fine, "/held_out", "0 to 0.5")?;
        let sources = self.pairs.check(limits);
        let sources = sources.map_err(|error| error.or_at("").within("/pairs"))?;
        let loss = self.loss.map(|loss| match loss {
            LossShape::MultipleNegatives => "multiple-negatives".to_owned(),
            LossShape::Triplet => "triplet".to_owned(),
        });
        let collection = self.collection;
        Ok(Wanted {
            name: self.name,
            collection: collection.unwrap_or_else(|| DEFAULT_COLLECTION.to_owned()),
            sources,
            learning: Learning {
                epochs: self.epochs.unwrap_or(DEFAULT_EPOCHS),
                batch_size: self.batch_size,
                max_pass_bytes: None,
                lora_rank: self.lora_rank,
                mini_batch_size: self.mini_batch_size,
                learning_rate: rate,
                loss,
                held_out,
                patience: self.patience,
                max_tokens: self.max_tokens,
                seed: self.seed.map_or(DEFAULT_SEED, u64::from),
                device: String::new(),
            },
            max_minutes: self.max_minutes,
        })
    }
}

fn check(is_fine: bool, pointer: &str, range: &str) -> Result<(), ApiError> {
    match is_fine {
        true => Ok(()),
        false => {
            let detail = format!("{} may be {range}", &pointer[1..]);
            Err(ApiError::invalid(pointer, detail))
        }
    }
}

/// The id of the model in the path. Slashes in it may stand as they are, so the router takes what is behind it
/// for a part of it.
#[derive(Debug)]
pub(crate) struct TrainedId(String);

impl FromRequestParts<App> for TrainedId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let ApiPath(path) = ApiPath::<String>::from_request_parts(parts, app).await?;
        match path.strip_suffix(TRAIN) {
            Some(id) => Ok(Self(id.to_owned())),
            None => {
                let detail = "what can be posted of a model is /models/{id}/train";
                Err(ApiError::new(ErrorCode::NotFound, detail))
            }
        }
    }
}

/// Train an encoder further, on pairs of texts of a collection that belong together. A job does it, in a process of
/// its own with the lowest priority; one at a time, and another is refused (409). The model is written into `training.directory` when it has
/// learned, and is an encoder of its name then, for generations and new collections. The service needs
/// `training.directory` (403 `training_disabled` without it).
///
/// For whoever runs the service: it writes to its disk, and takes a processor for as long as it learns.
#[utoipa::path(
    post, path = "/models/{*id}", operation_id = "train_model", tag = "training",
    params(("id" = String, Path, min_length = 1, description = "A name of `GET /models`, such as `default`")),
    request_body = TrainRequest,
    responses(
        (status = 202, body = StartedJob, description = "A job trains"),
        BodyProblems, TrainingProblems, ConflictProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    principal: Principal,
    TrainedId(id): TrainedId,
    ApiJson(wanted): ApiJson<TrainRequest>,
) -> Result<Response, ApiError> {
    let engine = app.engine()?;
    engine.index(Capability::Training)?;
    if engine.training.is_none() {
        return Err(disabled());
    }
    let max_time = max_time(&app, wanted.max_minutes)?;
    let named = principal.collection(&wanted.collection);
    let collection = named.and_then(|name| engine.reader(&name));
    let collection = collection.map_err(|error| error.at("/collection"))?;
    let (place, name) = (app.clone(), wanted.name.clone());
    let base = blocking(move || {
        let engine = place.engine()?;
        if engine.models.has_encoder(&name) {
            let detail = format!("there is an encoder called {name:?} already");
            return Err(ApiError::new(ErrorCode::Conflict, detail).at("/name"));
        }
        let training = engine.training.as_ref().ok_or_else(disabled)?;
        training
            .models
            .place(&name)
            .map_err(|error| error.at("/name"))?;
        engine.models.folder_of_encoder(&id)
    })
    .await?;
    let max_memory_bytes = app.settings().training.max_memory_bytes();
    let task = TrainTask {
        base,
        name: wanted.name,
        collection: collection.name().to_owned(),
        sources: wanted.sources,
        learning: Learning {
            device: device(app.settings().encoder.device).to_owned(),
            max_pass_bytes: Some((max_memory_bytes / PASS_SHARE).clamp(1, MAX_PASS_BYTES)),
            ..wanted.learning
        },
        max_time,
    };
    started(&app, &principal, train_job(&app, task), false).await
}

fn max_time(app: &App, minutes: Option<u64>) -> Result<Duration, ApiError> {
    let max = app.settings().training.max_minutes.get();
    let minutes = minutes.unwrap_or(max);
    let limit = format!("1 to training.max_minutes = {max}");
    check((1..=max).contains(&minutes), "/max_minutes", &limit)?;
    Ok(Duration::from_secs(minutes.saturating_mul(60)))
}

fn device(device: Device) -> &'static str {
    match device {
        Device::Auto => "auto",
        Device::Cpu => "cpu",
        Device::Cuda => "cuda",
        Device::Metal => "metal",
    }
}
