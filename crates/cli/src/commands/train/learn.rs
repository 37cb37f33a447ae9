//! `siamese train` itself.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use siamese_server::config::{Overrides, Settings};
use siamese_train::{Trainer, read};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::options::TrainOptions;
use super::pairs::OfCollection;
use super::shown::{Shown, table};
use crate::{freed_memory, model};

/// Learning from files of examples.
#[derive(Debug, clap::Args)]
pub(super) struct Learn {
    /// Files of examples, all of one kind
    #[arg(long, required_unless_present = "collection", num_args = 1.., value_name = "FILE")]
    data: Vec<PathBuf>,
    #[command(flatten)]
    of: OfCollection,
    /// Where the model is written; must not be there yet
    #[arg(long, required = true, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Folder or name of the model to start from
    #[arg(long, value_name = "DIR|NAME")]
    model: Option<String>,
    /// Examples of something else, such as pairs with scores of people: shows what is forgotten
    #[arg(long, value_name = "FILE")]
    control: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Go on with a training that was interrupted, if there is one in the folder OUTPUT.training
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    options: TrainOptions,
}

impl Learn {
    pub(super) fn run(self) -> Result<ExitCode> {
        freed_memory::keep();
        wait_without_spinning();
        let output = self.output.context("give --output")?;
        // Before hours of work, not after them.
        ensure!(!output.exists(), "{} is there already", output.display());
        let parent = output
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            fs_err::create_dir_all(parent)?;
        }
        let defaults = Settings::load(&Overrides {
            model: self.model.clone(),
            ..Overrides::default()
        })?;
        let models_dir = model::models_dir(&defaults);
        let folder = model::resolve_or_pull(&defaults.encoder.model, &models_dir)?;
        let settings = self.options.settings();
        let downloaded = self.of.download(settings.seed)?;
        let files = match &downloaded {
            Some(pairs) => vec![pairs.path().to_owned()],
            None => self.data,
        };
        let data = read(&files)?;
        let control = self.control.iter().cloned().collect::<Vec<_>>();
        let control = (!control.is_empty()).then(|| read(&control)).transpose()?;
        let trainer = Trainer::open(&folder, &data, control.as_ref(), &settings)?;
        let ends = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The second one ends the process, whatever it does.
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&ends))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&ends)))
                .context("signals cannot be handled")?;
        }
        let mut shown = Shown::new();
        let report = trainer.run(&output, self.resume, &ends, &mut |progress| {
            shown.update(&progress);
        })?;
        shown.finish();
        let mut out = stdout().lock();
        match self.json {
            true => writeln!(out, "{}", serde_json::to_string(&report)?)?,
            false => write!(out, "{}", table(&report, &output))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Has candle's threads sleep while they have nothing to do, which is most of the time: they would take the cores from
/// those that multiply.
fn wait_without_spinning() {
    const SETTING: &str = "CANDLE_BARRIER_POOL_SPIN_LIMIT";
    if std::env::var_os(SETTING).is_none() {
        // SAFETY: no other thread runs yet that could read the environment.
        unsafe { std::env::set_var(SETTING, "100") };
    }
}
