//! What a training did.

use serde::{Deserialize, Serialize};

use crate::{Evaluation, LossPoint};

/// What a training did.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The loss.
    pub loss: String,
    /// Examples that were learned from.
    pub training_examples: usize,
    /// Examples that were measured by.
    pub held_out_examples: usize,
    /// SHA-256 over the files of examples.
    pub data_sha256: String,
    /// Identity of the model before.
    pub base_model: String,
    /// The model before.
    pub before: Option<Evaluation>,
    /// The model before, by examples of something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_before: Option<Evaluation>,
    /// Every epoch that ended.
    pub epochs: Vec<EpochReport>,
    /// The epoch whose model was kept, counted from 1.
    pub best_epoch: usize,
    /// The loss by steps, as means where there are many.
    pub losses: Vec<LossPoint>,
    /// Tokens that went through the encoder.
    pub tokens: u64,
    /// Seconds in all, measuring included.
    pub seconds: f64,
}

/// What an epoch did.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: usize,
    /// The mean over its steps.
    pub mean_loss: f64,
    /// Steps until its end, those of the epochs before included.
    pub steps: usize,
    /// The model after it.
    pub after: Option<Evaluation>,
    /// The model after it, by examples of something else: what was forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<Evaluation>,
    /// Seconds of learning.
    pub seconds: f64,
}
