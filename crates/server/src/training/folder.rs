//! The folder with trained models: each in a folder of its name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use siamese_index::check_collection_name;

use crate::config::Settings;
use crate::error::{ApiError, ErrorCode};

/// What the folders of trainings that go on begin with; the job's id follows.
const SCRATCH: &str = ".siamese-train-job-";
/// Every model folder has it.
const CONFIG: &str = "config.json";
const MODULES: &str = "modules.json";

/// The best model so far, the one after the last epoch, and what the trainer writes at the end of an epoch twice,
/// each as large as three models.
const MODELS_AT_A_TIME: u64 = 8;

/// Trained models on the disk.
#[derive(Debug, Clone)]
pub(crate) struct TrainedModels {
    folder: PathBuf,
    max_models: usize,
}

/// The folder in which a training works; removed with everything in it when it is dropped.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl TrainedModels {
    /// Where the settings have them; nothing where they name no folder.
    pub(crate) fn of(settings: &Settings) -> Option<Self> {
        let training = &settings.training;
        Some(Self {
            folder: training.directory()?.to_owned(),
            max_models: training.max_models.get(),
        })
    }

    /// Names and folders of all models, in the order of their names. Other things in the folder are passed over.
    pub(crate) fn list(&self) -> Vec<(String, PathBuf)> {
        // It is made for the first model.
        let Ok(entries) = fs_err::read_dir(&self.folder) else {
            return Vec::new();
        };
        let models = entries.flatten().filter_map(|entry| {
            let (path, name) = (entry.path(), entry.file_name().to_str()?.to_owned());
            let is_model = path.join(MODULES).is_file() || path.join(CONFIG).is_file();
            (is_model && check_collection_name(&name).is_ok()).then_some((name, path))
        });
        let mut models: Vec<_> = models.collect();
        models.sort();
        models
    }

    /// The folder that a model of this name gets.
    ///
    /// # Errors
    /// 409 when something is there, or as many models as there may be.
    pub(crate) fn place(&self, name: &str) -> Result<PathBuf, ApiError> {
        let conflict = |detail: String| Err(ApiError::new(ErrorCode::Conflict, detail));
        let place = self.folder.join(name);
        if place.symlink_metadata().is_ok() {
            return conflict(format!("{} is there already", place.display()));
        }
        if self.list().len() >= self.max_models {
            return conflict(format!(
                "there are training.max_models = {} models in {} already; remove one that no collection uses",
                self.max_models,
                self.folder.display()
            ));
        }
        Ok(place)
    }

    /// A folder for a training to work in, on the same disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn scratch(&self, job: &str) -> Result<Scratch, ApiError> {
        let path = self.folder.join(format!("{SCRATCH}{job}"));
        fs_err::create_dir_all(&path).map_err(ApiError::internal)?;
        // So that what reads it does not depend on where it is started.
        let path = std::path::absolute(path).map_err(ApiError::internal)?;
        Ok(Scratch(path))
    }

    /// Checks that the disk has room for training a model of so many bytes.
    ///
    /// # Errors
    /// 507 when `reserve_bytes` would not be left.
    pub(super) fn check_room(&self, model_bytes: u64, reserve_bytes: u64) -> Result<(), ApiError> {
        let needed_bytes = model_bytes
            .saturating_mul(MODELS_AT_A_TIME)
            .saturating_add(reserve_bytes);
        match free_bytes(&self.folder) {
            Some(free_bytes) if free_bytes < needed_bytes => {
                let detail = format!(
                    "the disk of {} has {free_bytes} bytes free, but a training needs {needed_bytes} to leave \
                     storage.min_free_disk_bytes untouched",
                    self.folder.display()
                );
                Err(ApiError::new(ErrorCode::StorageFull, detail))
            }
            _ => Ok(()),
        }
    }

    /// Removes what trainings of earlier runs have left. What belongs to jobs that are not known here may be that of
    /// another service.
    pub(crate) fn sweep(&self, jobs: &BTreeSet<String>) {
        let entries = fs_err::read_dir(&self.folder).into_iter().flatten();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let job = name.to_str().and_then(|name| name.strip_prefix(SCRATCH));
            if job.is_some_and(|job| jobs.contains(job)) {
                drop(Scratch(entry.path()));
            }
        }
    }
}

impl Scratch {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs_err::remove_dir_all(&self.0) {
            tracing::warn!(%error, "what a training has left takes up room");
        }
    }
}

/// Moves a model to its place when all of it is on the disk.
///
/// # Errors
/// When the disk fails; there is nothing in its place then, unless somebody else has put it there.
pub(super) fn move_to_place(model: &Path, place: &Path) -> std::io::Result<()> {
    sync(model)?;
    if place.symlink_metadata().is_ok() {
        let detail = format!("{} is there already", place.display());
        return Err(std::io::Error::new(
            std::io::ErrorKind::AlreadyExists,
            detail,
        ));
    }
    fs_err::rename(model, place)?;
    match place.parent() {
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// What is free on the disk of a folder; nothing where that cannot be told.
#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}

fn sync(folder: &Path) -> std::io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => sync(&path)?,
            false => fs_err::File::open(&path)?.sync_all()?,
        }
    }
    sync_folder(folder)
}

/// Makes names in a folder durable; elsewhere folders cannot be opened.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    fs_err::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_listed_by_name_and_what_trainings_leave_is_removed_if_it_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let models = TrainedModels {
            folder: folder.path().join("models"),
            max_models: 2,
        };
        assert!(models.list().is_empty());
        let place = models.place("ours").unwrap();
        let scratch = models.scratch("1").unwrap();
        let made = scratch.path().join("model");
        for name in ["1_Pooling", "0_Transformer"] {
            fs_err::create_dir_all(made.join(name)).unwrap();
        }
        fs_err::write(made.join(MODULES), "[]").unwrap();
        move_to_place(&made, &place).unwrap();
        drop(scratch);
        for other in [".hidden", "no model", "empty"] {
            fs_err::create_dir(models.folder.join(other)).unwrap();
        }
        assert_eq!(models.list(), [("ours".to_owned(), place.clone())]);
        let refused = models.place("ours").unwrap_err();
        assert!(refused.detail().contains("there already"), "{refused:?}");
        let second = models.place("second").unwrap();
        fs_err::create_dir(&second).unwrap();
        fs_err::write(second.join(CONFIG), "{}").unwrap();
        let refused = models.place("third").unwrap_err();
        assert!(refused.detail().contains("max_models"), "{refused:?}");

        let left = ["2", "3"].map(|job| models.scratch(job).unwrap());
        let paths = left.each_ref().map(|left| left.path().to_owned());
        left.into_iter().for_each(std::mem::forget);
        models.sweep(&BTreeSet::from(["2".to_owned()]));
        assert_eq!(paths.map(|path| path.exists()), [false, true]);
    }

    #[test]
    fn what_is_in_the_place_of_a_model_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (made, place) = (folder.path().join("made"), folder.path().join("place"));
        fs_err::create_dir(&made).unwrap();
        fs_err::write(&place, "x").unwrap();
        let error = move_to_place(&made, &place).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(fs_err::read(&place).unwrap(), b"x");
    }
}
