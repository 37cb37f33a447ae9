//! What people see of a training.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use siamese_train::{EpochReport, Figure, MeasuredBy, Progress, Report};

/// Of how many steps back the shown loss still has a part.
const LOSS_MEMORY: f64 = 50.0;

/// A bar on a terminal, and a line for each epoch everywhere.
pub(super) struct Shown {
    bar: ProgressBar,
    /// When the first step was made.
    started: Option<Instant>,
    loss: Option<f64>,
}

impl Shown {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = "  {bar:30} step {pos} of {len}  {msg}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self {
            bar,
            started: None,
            loss: None,
        }
    }

    pub(super) fn update(&mut self, progress: &Progress) {
        match progress {
            Progress::Measuring => self.bar.set_message("measuring the model as it is"),
            Progress::Resumed { done } => {
                self.bar.suspend(|| eprintln!("goes on after step {done}"))
            }
            Progress::Step {
                done,
                steps,
                loss,
                tokens,
            } => {
                self.bar.set_length(*steps as u64);
                self.bar.set_position(*done as u64);
                let mean = self
                    .loss
                    .map_or(*loss, |mean| mean + (loss - mean) / LOSS_MEMORY);
                self.loss = Some(mean);
                let seconds = self.started.get_or_insert_with(Instant::now).elapsed();
                let rate = *tokens as f64 / seconds.as_secs_f64().max(1.0);
                self.bar
                    .set_message(format!("loss {mean:.4}, {rate:.0} tokens/s"));
            }
            Progress::Epoch(epoch) => self.bar.suspend(|| eprintln!("{}", line(epoch))),
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn line(epoch: &EpochReport) -> String {
    let mut line = format!("epoch {}: loss {:.4}", epoch.epoch, epoch.mean_loss);
    for (of, figures) in [("", epoch.after), (" of the control", epoch.control)] {
        if let Some(figures) = figures {
            // Writing to a string does not fail.
            let _ = write!(line, ", {}{of} {:.4}", figures.metric, figures.value);
        }
    }
    let _ = write!(line, ", {:.0} s", epoch.seconds);
    line
}

/// The report for people.
pub(super) fn table(report: &Report, output: &Path) -> String {
    let mut table = format!(
        "{} examples to learn from, {} kept aside; loss {}; {} tokens in {:.0} s\n",
        report.training_examples,
        report.held_out_examples,
        report.loss,
        report.tokens,
        report.seconds
    );
    for figure in report.figures() {
        let of = match figure.measured_by {
            MeasuredBy::HeldOut => "kept aside",
            MeasuredBy::Control => "control",
        };
        let Figure {
            name,
            before,
            after,
            ..
        } = figure;
        // Writing to a string does not fail.
        let _ = writeln!(table, "{of:10}  {name:18} {before:.4} -> {after:.4}");
    }
    let is_worse = |best: &EpochReport| {
        let values = (report.before, best.after);
        matches!(values, (Some(before), Some(after)) if after.value <= before.value)
    };
    if report.best().is_some_and(is_worse) {
        table.push_str(
            "No epoch did better than the model as it was: more or other examples may help.\n",
        );
    }
    let _ = writeln!(
        table,
        "{} holds the model after epoch {}",
        output.display(),
        report.best_epoch
    );
    table
}
