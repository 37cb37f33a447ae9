//! `modules.json`: the steps from text to vector, in order.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::pooling::PoolingSettings;
use super::prompts::PromptSettings;
use super::transformer::TransformerSettings;
use crate::Error;
use crate::dense::DenseSettings;
use crate::files::{read_json, read_json_if_present};

#[derive(Debug, Deserialize)]
struct ModuleEntry {
    idx: usize,
    path: String,
    #[serde(rename = "type")]
    module_type: String,
}

/// A model folder, described.
#[derive(Debug)]
pub(crate) struct ModelDescription {
    /// The folder with `config.json`, tokenizer and weights.
    pub(crate) transformer_dir: PathBuf,
    pub(crate) transformer: TransformerSettings,
    pub(crate) pooling: PoolingSettings,
    /// What follows the pooling.
    pub(crate) steps: Vec<Step>,
    pub(crate) prompts: PromptSettings,
}

/// A step after the pooling.
#[derive(Debug)]
pub(crate) enum Step {
    /// A linear layer with an activation, in this folder.
    Dense(PathBuf, DenseSettings),
    /// Scale to length 1.
    Normalize,
}

/// Reads the description of a model folder.
///
/// # Errors
/// A missing or damaged file, or a module that is not supported or out of place.
pub(crate) fn describe(folder: &Path) -> Result<ModelDescription, Error> {
    let list = folder.join("modules.json");
    let mut entries: Vec<ModuleEntry> = read_json(&list)?;
    entries.sort_by_key(|entry| entry.idx);
    let mut entries = entries.into_iter();
    let transformer = expect(&list, entries.next(), "Transformer")?;
    let pooling = expect(&list, entries.next(), "Pooling")?;
    let transformer_dir = folder.join(transformer.path);
    let prompts = PromptSettings::read(folder)?;
    Ok(ModelDescription {
        transformer: TransformerSettings::read(&transformer_dir)?,
        pooling: PoolingSettings::read(&folder.join(pooling.path))?,
        steps: entries
            .map(|entry| step(folder, &entry))
            .collect::<Result<_, _>>()?,
        transformer_dir,
        prompts,
    })
}

/// The folder of a cross-encoder's transformer, which must be its only module. Without a list it is
/// the folder itself.
///
/// # Errors
/// A damaged list, or another module.
pub(super) fn only_transformer(folder: &Path) -> Result<PathBuf, Error> {
    let list = folder.join("modules.json");
    let Some(entries) = read_json_if_present::<Vec<ModuleEntry>>(&list)? else {
        return Ok(folder.to_owned());
    };
    let mut entries = entries.into_iter();
    let transformer = expect(&list, entries.next(), "Transformer")?;
    match entries.next() {
        Some(other) => Err(Error::UnsupportedModule {
            module_type: other.module_type,
        }),
        None => Ok(folder.join(transformer.path)),
    }
}

/// The kind of a module: the last segment of its Python path, the same in both dialects.
fn kind(entry: &ModuleEntry) -> &str {
    entry.module_type.rsplit('.').next().unwrap_or_default()
}

fn expect(list: &Path, entry: Option<ModuleEntry>, wanted: &str) -> Result<ModuleEntry, Error> {
    match entry {
        Some(entry) if kind(&entry) == wanted => Ok(entry),
        Some(entry) => Err(Error::UnsupportedModule {
            module_type: entry.module_type,
        }),
        None => Err(Error::damaged(list, format!("it lists no {wanted} module"))),
    }
}

fn step(folder: &Path, entry: &ModuleEntry) -> Result<Step, Error> {
    match kind(entry) {
        "Dense" => {
            let path = folder.join(&entry.path);
            let settings = DenseSettings::read(&path)?;
            Ok(Step::Dense(path, settings))
        }
        "Normalize" => Ok(Step::Normalize),
        _ => Err(Error::UnsupportedModule {
            module_type: entry.module_type.clone(),
        }),
    }
}
