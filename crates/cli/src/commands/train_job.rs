//! `siamese train-job`, which a service starts: it trains a model with the lowest priority, and says how far it is.

use std::io::{BufRead, Stdin, Write, stdin, stdout};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use siamese_server::training::{
    END_LEARNING, Learning, TrainingFailure, TrainingMessage, TrainingOrder, run_when_idle,
};
use siamese_train::{Error, Progress, Report, Settings, Trainer, read};

use crate::freed_memory;

/// Time between two messages about steps.
const PAUSE: Duration = Duration::from_millis(200);
/// Longer than any training.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);
/// Of how many steps back the loss that is told still has a part.
const LOSS_MEMORY: f64 = 50.0;

/// Train a model for a running service
#[derive(Debug, clap::Args)]
pub(crate) struct TrainJob {}

/// Makes a command that becomes a training process.
///
/// # Errors
/// When the path of this program is not known.
pub(crate) fn training_process() -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("train-job");
    Ok(command)
}

impl TrainJob {
    #[expect(clippy::unused_self, reason = "as all commands are run")]
    pub(crate) fn run(self) -> Result<ExitCode> {
        // Before there are other threads, which begin as this one is.
        run_when_idle();
        be_first_to_end();
        freed_memory::keep();
        let (input, mut line) = (stdin(), String::new());
        input.read_line(&mut line)?;
        let order: TrainingOrder = serde_json::from_str(&line).context("an order is missing")?;
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        std::thread::Builder::new()
            .name("listener".to_owned())
            .spawn(move || listen(&input, &told))?;
        let outcome = learn(&order, &ends);
        tell(&match &outcome {
            Ok(report) => TrainingMessage::Done(serde_json::to_value(report)?),
            Err(error) => TrainingMessage::Failed(failure(error)),
        })?;
        Ok(match outcome {
            Ok(_) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        })
    }
}

/// Has Linux end this process rather than the service where there is no more memory.
fn be_first_to_end() {
    #[cfg(target_os = "linux")]
    if let Err(error) = fs_err::write("/proc/self/oom_score_adj", "1000") {
        tracing::debug!(%error, "the system treats a training as any process");
    }
}

/// Does what the service says, and ends with it.
fn listen(input: &Stdin, ends: &AtomicBool) {
    for line in input.lock().lines() {
        match line {
            Ok(line) if line == END_LEARNING => ends.store(true, Ordering::Relaxed),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    // Nobody is there who would take the model. What is left of it is removed by the next start of the service.
    std::process::exit(1);
}

fn learn(order: &TrainingOrder, ends: &AtomicBool) -> Result<Report, Error> {
    let settings = settings(&order.learning)?;
    let data = read(std::slice::from_ref(&order.examples))?;
    let trainer = Trainer::open(&order.model, &data, None, &settings)?;
    let mut told = Told::default();
    trainer.run(&order.output, false, ends, &mut |progress| {
        if let Some(message) = told.message(&progress) {
            // The service that has gone away is noticed where it is listened to.
            tell(&message).unwrap_or_default();
        }
    })
}

fn settings(learning: &Learning) -> Result<Settings, Error> {
    let default = Settings::default();
    let loss = learning.loss.as_deref().map(str::parse).transpose();
    let device = super::train::device(&learning.device);
    Ok(Settings {
        loss: loss.map_err(Error::Setting)?,
        epochs: learning.epochs,
        batch_size: learning.batch_size.unwrap_or(default.batch_size),
        mini_batch_size: learning.mini_batch_size,
        max_pass_bytes: learning.max_pass_bytes.unwrap_or(default.max_pass_bytes),
        lora_rank: learning.lora_rank,
        learning_rate: learning.learning_rate,
        held_out: learning.held_out.unwrap_or(default.held_out),
        patience: learning.patience,
        max_tokens: learning.max_tokens,
        seed: learning.seed,
        device: device.map_err(Error::Setting)?,
        // Of no use: what a training has left is removed.
        checkpoint_every: NEVER,
        ..default
    })
}

/// What the service has been told.
#[derive(Debug, Default)]
struct Told {
    loss: Option<f64>,
    at: Option<Instant>,
}

impl Told {
    fn message(&mut self, progress: &Progress) -> Option<TrainingMessage> {
        match progress {
            Progress::Measuring => Some(TrainingMessage::Measuring),
            // One that was interrupted is not gone on with.
            Progress::Resumed { .. } => None,
            Progress::Step {
                done,
                steps,
                loss,
                tokens,
            } => {
                let mean = self
                    .loss
                    .map_or(*loss, |mean| mean + (loss - mean) / LOSS_MEMORY);
                self.loss = Some(mean);
                let is_due = self.at.is_none_or(|at| at.elapsed() >= PAUSE) || done == steps;
                is_due.then(|| {
                    self.at = Some(Instant::now());
                    TrainingMessage::Step {
                        done: *done as u64,
                        steps: *steps as u64,
                        loss: mean,
                        tokens: *tokens,
                    }
                })
            }
            Progress::Epoch(report) => serde_json::to_value(report)
                .ok()
                .map(TrainingMessage::Epoch),
        }
    }
}

fn tell(message: &TrainingMessage) -> Result<()> {
    let mut out = stdout().lock();
    serde_json::to_writer(&mut out, message)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

fn failure(error: &Error) -> TrainingFailure {
    TrainingFailure {
        is_bad_input: matches!(
            error,
            Error::Data { .. }
                | Error::Examples(_)
                | Error::Setting(_)
                | Error::NotFinite { .. }
                | Error::Encoder(siamese_encoder::Error::NotLearnable { .. })
        ),
        reason: error.to_string(),
    }
}
