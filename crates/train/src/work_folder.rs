//! What is written while a model learns.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use safetensors::SafeTensors;

use crate::Error;
use crate::course::{Course, Identity};
use crate::learner::Learner;
use crate::optimizer::Optimizer;

/// Held by the process that works here.
const LOCK: &str = "lock";
/// Weights, what the optimizer knows, and how far the training is.
const CHECKPOINT: &str = "checkpoint.safetensors";
const NEW_CHECKPOINT: &str = "checkpoint.safetensors.new";
/// What the checkpoint's file says of itself.
const COURSE: &str = "course";

/// The folder of a training, beside the place of the model that it makes.
#[derive(Debug)]
pub(crate) struct WorkFolder {
    path: PathBuf,
    _lock: File,
}

impl WorkFolder {
    /// Makes the folder, or takes the one that an interrupted training has left.
    pub(crate) fn open(output: &Path, resume: bool) -> Result<Self, Error> {
        let mut name = output.file_name().unwrap_or_default().to_owned();
        name.push(".training");
        let path = output.with_file_name(name);
        let refused = |why| Error::WorkFolder {
            folder: path.clone(),
            why,
        };
        match std::fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let is_ours = path.join(LOCK).exists() || is_empty(&path)?;
                if !is_ours {
                    return Err(refused("it is not a training's"));
                }
                if !resume {
                    return Err(refused(
                        "it holds a training that was interrupted; go on with it (--resume), or delete it",
                    ));
                }
            }
            Err(error) => return Err(error.into()),
        }
        let lock = fs_err::File::create(path.join(LOCK))?.into_file();
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(refused("another process is at work on it")),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Where the model is that an epoch has made.
    pub(crate) fn epoch(&self, epoch: usize) -> PathBuf {
        self.path.join(format!("epoch-{epoch}"))
    }

    /// Writes what is needed to go on, in one file, which takes the place of the one before when it is whole.
    pub(crate) fn write(
        &self,
        course: &Course,
        learner: &Learner<'_>,
        optimizer: &Optimizer,
    ) -> Result<(), Error> {
        let mut tensors: HashMap<String, Tensor> = HashMap::new();
        for weight in learner.encoder.weights() {
            let values = weight.values.as_tensor().clone();
            tensors.insert(format!("weight.{}", weight.name), values);
        }
        tensors.extend(optimizer.state(learner.encoder.weights())?);
        let course = serde_json::to_string(course)
            .map_err(|error| Error::Io(std::io::Error::other(error)))?;
        let said = HashMap::from([(COURSE.to_owned(), course)]);
        let new = self.path.join(NEW_CHECKPOINT);
        safetensors::serialize_to_file(&tensors, Some(said), &new)
            .map_err(|error| Error::Io(std::io::Error::other(error)))?;
        fs_err::File::open(&new)?.sync_all()?;
        Ok(fs_err::rename(&new, self.path.join(CHECKPOINT))?)
    }

    /// Reads what was written, if something was, and puts weights and optimizer back. What the interruption has
    /// left half made goes.
    pub(crate) fn read(
        &self,
        identity: &Identity,
        learner: &Learner<'_>,
        optimizer: &mut Optimizer,
    ) -> Result<Option<Course>, Error> {
        let path = self.path.join(CHECKPOINT);
        let course = match path.exists() {
            true => Some(self.restore(&path, identity, learner, optimizer)?),
            false => None,
        };
        let best = course.as_ref().map(|course| self.epoch(course.best_epoch));
        for entry in fs_err::read_dir(&self.path)? {
            let path = entry?.path();
            if path.is_dir() && Some(&path) != best.as_ref() {
                fs_err::remove_dir_all(&path)?;
            }
        }
        Ok(course)
    }

    fn restore(
        &self,
        path: &Path,
        identity: &Identity,
        learner: &Learner<'_>,
        optimizer: &mut Optimizer,
    ) -> Result<Course, Error> {
        let damaged = |reason: String| Error::Damaged {
            path: path.to_owned(),
            reason,
        };
        let bytes = fs_err::read(path)?;
        let (_, said) =
            SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
        let course = said.metadata().as_ref().and_then(|said| said.get(COURSE));
        let course = course.ok_or_else(|| damaged("it does not say how far it is".to_owned()))?;
        let course: Course =
            serde_json::from_str(course).map_err(|error| damaged(error.to_string()))?;
        if let Some(what) = course.identity.difference(identity) {
            return Err(Error::OtherTraining {
                folder: self.path.clone(),
                what,
            });
        }
        let tensors = candle_core::safetensors::load_buffer(&bytes, learner.encoder.device())?;
        let tensor = |name: &str| {
            let tensor = tensors.get(name);
            tensor.ok_or_else(|| damaged(format!("it has no {name}")))
        };
        for weight in learner.encoder.weights() {
            weight
                .values
                .set(tensor(&format!("weight.{}", weight.name))?)?;
        }
        optimizer.restore(learner.encoder.weights(), course.steps, tensor)?;
        Ok(course)
    }

    /// When all is done.
    pub(crate) fn remove(self) -> Result<(), Error> {
        Ok(fs_err::remove_dir_all(&self.path)?)
    }
}

fn is_empty(folder: &Path) -> Result<bool, Error> {
    Ok(fs_err::read_dir(folder)?.next().is_none())
}
