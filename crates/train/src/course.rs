//! How far a training is.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::curve::LossCurve;
use crate::{EpochReport, Evaluation, Settings};

/// What a training began with: it can only go on with the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) data_sha256: String,
    pub(crate) base_model: String,
    pub(crate) settings: Value,
}

impl Identity {
    /// What differs first, in words.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        if self.data_sha256 != other.data_sha256 {
            return Some("file of examples".to_owned());
        }
        if self.base_model != other.base_model {
            return Some("model".to_owned());
        }
        let settings = other.settings.as_object()?.iter();
        let mut others = settings.filter(|(name, value)| self.settings.get(name) != Some(value));
        others
            .next()
            .map(|(name, value)| format!("setting, {name} {value}"))
    }
}

/// How far a training is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Course {
    pub(crate) identity: Identity,
    pub(crate) before: Option<Evaluation>,
    pub(crate) control_before: Option<Evaluation>,
    /// Epochs that have ended.
    pub(crate) epochs: Vec<EpochReport>,
    /// Counted from 1; 0 where none has ended.
    pub(crate) best_epoch: usize,
    /// Steps of all epochs.
    pub(crate) steps: usize,
    /// Steps of the present epoch, the sum of their losses, and their seconds.
    pub(crate) made: usize,
    sum: f64,
    epoch_seconds: f64,
    pub(crate) losses: LossCurve,
    pub(crate) tokens: u64,
    pub(crate) seconds: f64,
}

impl Course {
    pub(crate) fn new(
        identity: Identity,
        before: Option<Evaluation>,
        control_before: Option<Evaluation>,
    ) -> Self {
        Self {
            identity,
            before,
            control_before,
            epochs: Vec::new(),
            best_epoch: 0,
            steps: 0,
            made: 0,
            sum: 0.0,
            epoch_seconds: 0.0,
            losses: LossCurve::default(),
            tokens: 0,
            seconds: 0.0,
        }
    }

    /// The present epoch, counted from 1.
    pub(crate) fn epoch(&self) -> usize {
        self.epochs.len() + 1
    }

    /// Whether there is another epoch.
    pub(crate) fn goes_on(&self, settings: &Settings) -> bool {
        let patience = settings.patience.unwrap_or(usize::MAX);
        self.epochs.len() < settings.epochs
            && self.epochs.len() < self.best_epoch.saturating_add(patience)
    }

    /// Notes a step.
    pub(crate) fn step(&mut self, loss: f64, tokens: u64, time: Duration) {
        self.steps += 1;
        self.made += 1;
        self.sum += loss;
        self.losses.push(loss);
        self.tokens = tokens;
        self.epoch_seconds += time.as_secs_f64();
        self.seconds += time.as_secs_f64();
    }

    /// Notes the end of an epoch, after which the model was measured.
    pub(crate) fn end_epoch(
        &mut self,
        after: Option<Evaluation>,
        control: Option<Evaluation>,
    ) -> EpochReport {
        let ended = EpochReport {
            epoch: self.epoch(),
            mean_loss: self.sum / self.made.max(1) as f64,
            steps: self.steps,
            after,
            control,
            seconds: self.epoch_seconds,
        };
        let value = |epoch: &EpochReport| epoch.after.map_or(epoch.epoch as f64, |it| it.value);
        let best = self.epochs.get(self.best_epoch.wrapping_sub(1));
        if best.is_none_or(|best| value(&ended) > value(best)) {
            self.best_epoch = ended.epoch;
        }
        self.epochs.push(ended);
        (self.made, self.sum, self.epoch_seconds) = (0, 0.0, 0.0);
        ended
    }
}
