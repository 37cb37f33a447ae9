//! `modules.json`: the modules from text to vector, in order.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::pooling::PoolingSettings;
use super::prompts::PromptSettings;
use super::router::{self, Router};
use super::static_embedding::StaticSettings;
use super::transformer::TransformerSettings;
use crate::dense::DenseSettings;
use crate::files::{read_json, read_json_if_present};
use crate::towers::Towers;
use crate::{Error, PoolingMode};

#[derive(Debug, Deserialize)]
struct ModuleEntry {
    idx: usize,
    path: String,
    #[serde(rename = "type")]
    module_type: String,
}

/// A module of a model: its folder, and the Python path of its class.
#[derive(Debug, Clone)]
pub(super) struct Module {
    pub(super) folder: PathBuf,
    pub(super) module_type: String,
}

impl Module {
    /// The class, which is called the same in both dialects.
    fn class(&self) -> &str {
        self.module_type.rsplit('.').next().unwrap_or_default()
    }

    fn unsupported(&self) -> Error {
        Error::UnsupportedModule {
            module_type: self.module_type.clone(),
        }
    }
}

/// A model folder, described.
#[derive(Debug)]
pub(crate) struct ModelDescription {
    pub(crate) towers: Towers<TowerDescription>,
    pub(crate) prompts: PromptSettings,
}

/// From a text to its vector.
#[derive(Debug)]
pub(crate) struct TowerDescription {
    pub(crate) input: InputModule,
    /// What follows the pooling.
    pub(crate) steps: Vec<Step>,
}

/// What texts go into, and how what it makes of their tokens becomes one vector.
#[derive(Debug)]
pub(crate) enum InputModule {
    Transformer {
        /// The folder with `config.json`, tokenizer and weights.
        folder: PathBuf,
        settings: TransformerSettings,
        pooling: PoolingSettings,
    },
    Static(StaticSettings),
}

impl InputModule {
    /// The folder with tokenizer and weights.
    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Transformer { folder, .. } => folder,
            Self::Static(settings) => &settings.folder,
        }
    }

    /// How states of tokens become one vector.
    pub(crate) fn pooling(&self) -> PoolingSettings {
        match self {
            Self::Transformer { pooling, .. } => pooling.clone(),
            Self::Static(_) => PoolingSettings {
                modes: vec![PoolingMode::Mean],
                include_prompt: true,
            },
        }
    }

    /// What the architecture is called.
    pub(crate) fn model_type(&self) -> &str {
        match self {
            Self::Transformer { settings, .. } => settings.family.model_type(),
            Self::Static(_) => "static",
        }
    }
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
    let prompts = PromptSettings::read(folder)?;
    let list = folder.join("modules.json");
    let Some(modules) = modules(folder)? else {
        let Some((settings, normalize)) = StaticSettings::of_model2vec(folder)? else {
            return Err(Error::MissingFile { path: list });
        };
        let input = InputModule::Static(settings);
        let steps = normalize.then_some(Step::Normalize).into_iter().collect();
        return Ok(ModelDescription {
            towers: Towers::Shared(TowerDescription { input, steps }),
            prompts,
        });
    };
    let towers = match modules.split_first() {
        Some((first, rest)) if router::CLASSES.contains(&first.class()) => {
            let Router { query, document } = Router::read(&first.folder)?;
            let tower = |route: Vec<Module>| tower(&list, &[route, rest.to_vec()].concat());
            Towers::Apart {
                query: tower(query)?,
                document: tower(document)?,
            }
        }
        _ => Towers::Shared(tower(&list, &modules)?),
    };
    Ok(ModelDescription { towers, prompts })
}

/// The folder of a cross-encoder's transformer, which must be its only module. Without a list it is
/// the folder itself.
///
/// # Errors
/// A damaged list, or another module.
pub(super) fn only_transformer(folder: &Path) -> Result<PathBuf, Error> {
    let Some(modules) = modules(folder)? else {
        return Ok(folder.to_owned());
    };
    match &modules[..] {
        [transformer] if transformer.class() == "Transformer" => Ok(transformer.folder.clone()),
        [] => Err(lists_none(&folder.join("modules.json"), "Transformer")),
        [first] => Err(first.unsupported()),
        [_, second, ..] => Err(second.unsupported()),
    }
}

/// The modules that a folder lists, if it has a list.
fn modules(folder: &Path) -> Result<Option<Vec<Module>>, Error> {
    let entries: Option<Vec<ModuleEntry>> = read_json_if_present(&folder.join("modules.json"))?;
    Ok(entries.map(|mut entries| {
        entries.sort_by_key(|entry| entry.idx);
        let module = |entry: ModuleEntry| Module {
            folder: folder.join(entry.path),
            module_type: entry.module_type,
        };
        entries.into_iter().map(module).collect()
    }))
}

fn lists_none(list: &Path, wanted: &str) -> Error {
    Error::damaged(list, format!("it lists no {wanted} module"))
}

/// What texts go through, by the modules that `list` names.
fn tower(list: &Path, modules: &[Module]) -> Result<TowerDescription, Error> {
    let Some((first, rest)) = modules.split_first() else {
        return Err(lists_none(list, "Transformer"));
    };
    let (input, rest) = match first.class() {
        "Transformer" => {
            let Some((pooling, rest)) = rest.split_first() else {
                return Err(lists_none(list, "Pooling"));
            };
            if pooling.class() != "Pooling" {
                return Err(pooling.unsupported());
            }
            let input = InputModule::Transformer {
                settings: TransformerSettings::read(&first.folder)?,
                pooling: PoolingSettings::read(&pooling.folder)?,
                folder: first.folder.clone(),
            };
            (input, rest)
        }
        "StaticEmbedding" => {
            let settings = StaticSettings::of_sentence_transformers(&first.folder);
            (InputModule::Static(settings), rest)
        }
        _ => return Err(first.unsupported()),
    };
    let steps = rest.iter().filter_map(|module| step(module).transpose());
    Ok(TowerDescription {
        input,
        steps: steps.collect::<Result<_, _>>()?,
    })
}

/// What a module does to a pooled vector; nothing is done by one that is for training only.
fn step(module: &Module) -> Result<Option<Step>, Error> {
    match module.class() {
        "Dense" => {
            let settings = DenseSettings::read(&module.folder)?;
            Ok(Some(Step::Dense(module.folder.clone(), settings)))
        }
        "Normalize" => Ok(Some(Step::Normalize)),
        "Dropout" => Ok(None),
        _ => Err(module.unsupported()),
    }
}

/// Reads a JSON file of a module that may stand under one of several names.
pub(super) fn read_first<T: serde::de::DeserializeOwned>(
    folder: &Path,
    names: [&str; 2],
) -> Result<T, Error> {
    match read_json_if_present(&folder.join(names[0]))? {
        Some(read) => Ok(read),
        None => read_json(&folder.join(names[1])),
    }
}
