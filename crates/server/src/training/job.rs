//! The job that trains a model.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use siamese_index::Reader;

use super::Training;
use super::folder::move_to_place;
use super::order::{Learning, TrainingMessage, TrainingOrder};
use super::process::{Bounds, Trained};
use super::progress::TrainingProgress;
use crate::access::CollectionName;
use crate::app::App;
use crate::backend::Capability;
use crate::error::{ApiError, ErrorCode};
use crate::jobs::{JobKind, JobRun, NewJob};
use crate::models::weights_bytes;
use crate::service::{PairSources, plan};

/// What to train.
#[derive(Debug)]
pub(crate) struct TrainTask {
    /// The encoder to start from: its name and its folder.
    pub(crate) base: (String, PathBuf),
    /// What the new one is called.
    pub(crate) name: String,
    pub(crate) collection: String,
    pub(crate) sources: PairSources,
    pub(crate) learning: Learning,
    pub(crate) max_time: Duration,
}

/// The job.
pub(crate) fn train_job(app: &App, task: TrainTask) -> NewJob {
    let app = app.clone();
    NewJob {
        kind: JobKind::Training,
        collection: Some(task.collection.clone()),
        unit: "steps",
        on_cancel: None,
        work: Box::new(move |run| train(&app, &task, run)),
    }
}

/// Returns what a service without a folder for models answers.
pub(crate) fn disabled() -> ApiError {
    let detail = "this service trains no models: training.directory in the settings names no folder for them";
    ApiError::new(ErrorCode::TrainingDisabled, detail)
}

fn train(app: &App, task: &TrainTask, run: &JobRun<'_>) -> Result<Value, ApiError> {
    let engine = app.engine()?;
    let training = engine.training.as_ref().ok_or_else(disabled)?;
    let place = training.models.place(&task.name)?;
    let scratch = training.models.scratch(run.id)?;
    let model_bytes = weights_bytes(&task.base.1).map_err(ApiError::internal)?;
    let reserve_bytes = app.settings().storage.min_free_disk_bytes;
    training.models.check_room(model_bytes, reserve_bytes)?;
    run.tell(json!({"phase": "choosing_pairs"}));
    let examples = scratch.path().join("pairs.jsonl");
    let collection = engine.reader(&CollectionName::of_job(&task.collection))?;
    let collection = collection.embedded(Capability::Training)?;
    let pairs = write_pairs(collection, &task.sources, run, &examples)?;
    let order = TrainingOrder {
        model: std::path::absolute(&task.base.1).map_err(ApiError::internal)?,
        examples,
        output: scratch.path().join("model"),
        learning: task.learning.clone(),
    };
    let bounds = Bounds {
        max_time: task.max_time,
        max_memory_bytes: app.settings().training.max_memory_bytes(),
    };
    let mut progress = TrainingProgress::new(pairs, task.learning.epochs);
    let trained = learn(training, &order, bounds, run, &mut progress)?;
    // The last moment at which nothing has happened.
    run.cancel.check()?;
    move_to_place(&order.output, &place).map_err(ApiError::internal)?;
    engine.models.add_trained(&task.name, &place);
    Ok(summary(task, pairs, &trained, &place))
}

fn learn(
    training: &Training,
    order: &TrainingOrder,
    bounds: Bounds,
    run: &JobRun<'_>,
    progress: &mut TrainingProgress,
) -> Result<Trained, ApiError> {
    let mut hear = |message: &TrainingMessage| progress.hear(message, run);
    training.start.train(order, bounds, run.cancel, &mut hear)
}

/// Writes pairs into a file, and returns how many.
fn write_pairs(
    collection: &Reader,
    sources: &PairSources,
    run: &JobRun<'_>,
    path: &Path,
) -> Result<u64, ApiError> {
    let plan = plan(collection, sources, &|| Ok(run.cancel.check()?))?;
    let file = fs_err::File::create(path).map_err(ApiError::internal)?;
    let (mut file, mut count) = (BufWriter::new(file), 0);
    for place in 0..plan.len() {
        run.cancel.check()?;
        if let Some(line) = plan.line(place, collection)? {
            serde_json::to_writer(&mut file, &line).map_err(ApiError::internal)?;
            file.write_all(b"\n").map_err(ApiError::internal)?;
            count += 1;
        }
    }
    file.flush().map_err(ApiError::internal)?;
    Ok(count)
}

/// What was made, of what, and how to use it.
fn summary(task: &TrainTask, pairs: u64, trained: &Trained, place: &Path) -> Value {
    let report = &trained.report;
    let folder = std::path::absolute(place).unwrap_or_else(|_| place.to_owned());
    let folder = folder.display().to_string();
    let best = report["best_epoch"].as_u64().unwrap_or_default();
    let epochs = report["epochs"].as_array().into_iter().flatten();
    let best = epochs
        .into_iter()
        .find(|epoch| epoch["epoch"].as_u64() == Some(best));
    json!({
        "name": task.name,
        "base": task.base.0,
        "folder": folder,
        // As a string of TOML is one of JSON.
        "settings": format!("[encoders.{}]\nmodel = {}\n", task.name, json!(folder)),
        "pairs": pairs,
        "before": report["before"],
        "after": best.map(|epoch| &epoch["after"]),
        "cut_short": trained.is_cut_short,
        "report": report,
    })
}
