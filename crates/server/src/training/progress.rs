//! How far a training is, for those who ask.

use std::time::Instant;

use serde_json::{Value, json};

use super::order::TrainingMessage;
use crate::jobs::JobRun;

/// What a training process has said so far.
#[derive(Debug)]
pub(super) struct TrainingProgress {
    pairs: u64,
    epochs: usize,
    /// When the first steps were made, and how many tokens that were.
    learning_since: Option<(Instant, u64)>,
    /// What was measured after each epoch.
    measured: Vec<Value>,
}

impl TrainingProgress {
    pub(super) fn new(pairs: u64, epochs: usize) -> Self {
        Self {
            pairs,
            epochs,
            learning_since: None,
            measured: Vec::new(),
        }
    }

    /// Tells of a message.
    pub(super) fn hear(&mut self, message: &TrainingMessage, run: &JobRun<'_>) {
        match message {
            TrainingMessage::Measuring => run.tell(self.details("measuring")),
            TrainingMessage::Step {
                done,
                steps,
                loss,
                tokens,
            } => {
                run.progress.set_total(*steps);
                run.progress.set_done(*done);
                let mut details = self.details("learning");
                let steps_of_epoch = (steps / self.epochs as u64).max(1);
                details["epoch"] = json!(done.saturating_sub(1) / steps_of_epoch + 1);
                details["loss"] = json!(loss);
                let (since, before) = *self.learning_since.get_or_insert((Instant::now(), *tokens));
                let seconds = since.elapsed().as_secs_f64();
                if seconds >= 1.0 {
                    let rate = tokens.saturating_sub(before) as f64 / seconds;
                    details["tokens_per_s"] = json!(rate.round());
                }
                run.tell(details);
            }
            TrainingMessage::Epoch(report) => {
                self.measured.push(report.clone());
                run.tell(self.details("measuring"));
            }
            TrainingMessage::Done(_) | TrainingMessage::Failed(_) => {}
        }
    }

    fn details(&self, phase: &str) -> Value {
        json!({
            "phase": phase,
            "pairs": self.pairs,
            "epochs": self.epochs,
            "measured": self.measured,
        })
    }
}
