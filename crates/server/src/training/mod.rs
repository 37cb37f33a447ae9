//! Training a model as a job, in a process of its own.
//!
//! The process has the lowest priority and memory of its own: what goes wrong with it, or is ended, leaves the
//! service as it was. It is told what to do by a [`TrainingOrder`] on its standard input, says how far it is by
//! [`TrainingMessage`]s on its standard output, and ends when its standard input does, as when the service is
//! killed.

mod folder;
mod job;
mod order;
mod process;
mod progress;

use std::collections::BTreeSet;

pub(crate) use folder::TrainedModels;
pub(crate) use job::{TrainTask, disabled, train_job};
pub use order::{END_LEARNING, Learning, TrainingFailure, TrainingMessage, TrainingOrder};
pub(crate) use process::StartTrainer;

use crate::config::Settings;
use crate::jobs::Jobs;
use crate::models::ModelFolders;

/// What a service needs to train models.
#[derive(Debug)]
pub(crate) struct Training {
    pub(crate) models: TrainedModels,
    pub(crate) start: StartTrainer,
}

impl Training {
    /// As the settings say; nothing where they name no folder for models. Removes what earlier trainings have left.
    pub(crate) fn open(settings: &Settings, folders: &ModelFolders, jobs: &Jobs) -> Option<Self> {
        let models = TrainedModels::of(settings)?;
        let known: BTreeSet<String> = jobs.list().into_iter().map(|job| job.id).collect();
        models.sweep(&known);
        Some(Self {
            models,
            start: folders.trainer()?.clone(),
        })
    }
}

/// Has the calling thread, and those that it starts, run only when no other wants their core.
pub fn run_when_idle() {
    crate::thread_slice::run_when_idle();
}
