//! How a model of the settings is opened.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use siamese_encoder::{
    DevicePreference, Encoder, EncoderOptions, Precision, Reranker, RerankerOptions,
};

use crate::config::{Device, EncoderPrecision, Settings};
use crate::training::{StartTrainer, TrainedModels};

type Find = dyn Fn(&str) -> Result<PathBuf, String> + Send + Sync;

/// Where models are on this machine.
#[derive(Clone)]
pub struct ModelFolders {
    default: PathBuf,
    find: Arc<Find>,
    trainer: Option<StartTrainer>,
}

impl ModelFolders {
    /// The folder of the default encoder, and what finds that of another model by its name or path. It is asked
    /// when the model is first used, and says what to do when there is none.
    pub fn new(
        default: PathBuf,
        find: impl Fn(&str) -> Result<PathBuf, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            default,
            find: Arc::new(find),
            trainer: None,
        }
    }

    /// With what makes a command that becomes a training process: one that does what
    /// [`crate::training`] says. Without it, the service trains no models.
    #[must_use]
    pub fn with_trainer(
        self,
        make: impl Fn() -> std::io::Result<Command> + Send + Sync + 'static,
    ) -> Self {
        Self {
            trainer: Some(StartTrainer::new(make)),
            ..self
        }
    }

    /// What starts training processes.
    pub(crate) fn trainer(&self) -> Option<&StartTrainer> {
        self.trainer.as_ref()
    }

    /// That of the default encoder.
    pub(crate) fn default_encoder(&self) -> &Path {
        &self.default
    }
}

impl std::fmt::Debug for ModelFolders {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = formatter.debug_struct("ModelFolders");
        fields
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

/// A model that is open. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) enum OpenModel {
    Encoder(Arc<Encoder>),
    Reranker(Arc<Reranker>),
}

impl OpenModel {
    /// Returns whether someone has it beside the one who asks.
    pub(super) fn is_in_use(&self) -> bool {
        let holders = match self {
            Self::Encoder(encoder) => Arc::strong_count(encoder),
            Self::Reranker(reranker) => Arc::strong_count(reranker),
        };
        holders > 1
    }
}

/// What a model is made of.
#[derive(Debug, Clone)]
pub(crate) enum Recipe {
    Encoder(EncoderOptions),
    Reranker(RerankerOptions),
}

impl Recipe {
    /// Opens the model of a folder.
    ///
    /// # Errors
    /// When it holds no model that can be opened so.
    pub(super) fn open(&self, folder: &Path) -> Result<OpenModel, siamese_encoder::Error> {
        Ok(match self {
            Self::Encoder(options) => OpenModel::Encoder(Arc::new(Encoder::open(folder, options)?)),
            Self::Reranker(options) => {
                OpenModel::Reranker(Arc::new(Reranker::open(folder, options)?))
            }
        })
    }
}

/// A model of the settings.
#[derive(Debug, Clone)]
pub(super) struct ModelSource {
    pub(super) recipe: Recipe,
    /// What the settings call it: a name in the models folder, or a path.
    pub(super) model: String,
    pub(super) folders: ModelFolders,
}

impl ModelSource {
    /// Its folder.
    pub(super) fn folder(&self) -> Result<PathBuf, String> {
        (self.folders.find)(&self.model)
    }
}

/// How the default encoder is opened.
pub(crate) fn default_encoder(settings: &Settings) -> EncoderOptions {
    let wanted = &settings.encoder;
    EncoderOptions {
        device: device(wanted.device),
        dimensions: wanted.dimensions.map(Into::into),
        max_tokens: wanted.max_tokens.map(Into::into),
        threads: wanted.threads.map(Into::into),
        precision: precision(wanted.precision),
        generic: false,
    }
}

/// How the default reranker is opened.
pub(crate) fn default_reranker(settings: &Settings) -> RerankerOptions {
    let wanted = &settings.reranker;
    RerankerOptions {
        device: device(settings.encoder.device),
        max_tokens: wanted.max_tokens.map(Into::into),
        threads: settings.encoder.threads.map(Into::into),
        precision: precision(wanted.precision),
    }
}

/// The encoders that have names, and what they are made of.
pub(super) fn encoders(
    settings: &Settings,
    folders: &ModelFolders,
) -> impl Iterator<Item = (String, ModelSource)> {
    settings.encoders.iter().map(|(name, wanted)| {
        let like = default_encoder(settings);
        let options = EncoderOptions {
            device: wanted.device.map_or(like.device, device),
            dimensions: wanted.dimensions.map(Into::into),
            max_tokens: wanted.max_tokens.map(Into::into),
            threads: wanted
                .threads
                .map_or(like.threads, |threads| Some(threads.into())),
            precision: wanted.precision.map_or(like.precision, precision),
            generic: false,
        };
        let source = ModelSource {
            recipe: Recipe::Encoder(options),
            model: wanted.model.clone(),
            folders: folders.clone(),
        };
        (name.clone(), source)
    })
}

/// The encoders that trainings have made, and how one more of them is opened: as those that have names and no
/// settings but that.
#[derive(Debug)]
pub(super) struct TrainedEncoders {
    options: EncoderOptions,
    folders: ModelFolders,
}

impl TrainedEncoders {
    pub(super) fn new(settings: &Settings, folders: &ModelFolders) -> Self {
        let options = EncoderOptions {
            dimensions: None,
            max_tokens: None,
            ..default_encoder(settings)
        };
        Self {
            options,
            folders: folders.clone(),
        }
    }

    /// Those that are there now.
    pub(super) fn list(&self, settings: &Settings) -> Vec<(String, ModelSource)> {
        let models = TrainedModels::of(settings).map_or_else(Vec::new, |models| models.list());
        let sources = models.into_iter();
        sources
            .map(|(name, folder)| (name, self.source(&folder)))
            .collect()
    }

    pub(super) fn source(&self, folder: &Path) -> ModelSource {
        ModelSource {
            recipe: Recipe::Encoder(self.options.clone()),
            model: folder.display().to_string(),
            folders: self.folders.clone(),
        }
    }

    pub(super) fn default_encoder(&self) -> &Path {
        self.folders.default_encoder()
    }
}

/// The rerankers that have names.
pub(super) fn rerankers(
    settings: &Settings,
    folders: &ModelFolders,
) -> impl Iterator<Item = (String, ModelSource)> {
    settings.rerankers.iter().map(|(name, wanted)| {
        let like = default_reranker(settings);
        let options = RerankerOptions {
            max_tokens: wanted.max_tokens.map(Into::into),
            precision: wanted.precision.map_or(like.precision, precision),
            ..like
        };
        let source = ModelSource {
            recipe: Recipe::Reranker(options),
            model: wanted.model.clone(),
            folders: folders.clone(),
        };
        (name.clone(), source)
    })
}

/// Bytes of the files with a model's weights, which may be in folders of its modules. Pickles are read where
/// there is nothing else.
pub(crate) fn weights_bytes(folder: &Path) -> std::io::Result<u64> {
    match bytes_of(folder, "safetensors")? {
        0 => bytes_of(folder, "bin"),
        bytes => Ok(bytes),
    }
}

fn bytes_of(folder: &Path, extension: &str) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            bytes += bytes_of(&path, extension)?;
        } else if path.extension().is_some_and(|other| other == extension) {
            bytes += fs_err::metadata(&path)?.len();
        }
    }
    Ok(bytes)
}

fn device(wanted: Device) -> DevicePreference {
    match wanted {
        Device::Auto => DevicePreference::Auto,
        Device::Cpu => DevicePreference::Cpu,
        Device::Cuda => DevicePreference::Cuda,
        Device::Metal => DevicePreference::Metal,
    }
}

fn precision(wanted: EncoderPrecision) -> Precision {
    match wanted {
        EncoderPrecision::F32 => Precision::F32,
        EncoderPrecision::Int16 => Precision::Int16,
        EncoderPrecision::Bf16 => Precision::Bf16,
        EncoderPrecision::Int8 => Precision::Int8,
    }
}
