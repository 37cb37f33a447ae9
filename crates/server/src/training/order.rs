//! What a training process is told, and what it tells. Each is a line of JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The line that has the process learn no more, and keep the best that there is so far.
pub const END_LEARNING: &str = "end";

/// What to do: the first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrainingOrder {
    /// Folder of the model to start from.
    pub model: PathBuf,
    /// File of examples, JSON lines.
    pub examples: PathBuf,
    /// Where the model is written.
    pub output: PathBuf,
    /// How to learn.
    pub learning: Learning,
}

/// How to learn. What is left out is as `siamese train` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learning {
    /// How often each example is learned from.
    pub epochs: usize,
    /// Examples of a step.
    pub batch_size: Option<usize>,
    /// Bytes that passes take at a time, about.
    pub max_pass_bytes: Option<u64>,
    /// Rank of the thin matrices that are learned instead of the weights.
    pub lora_rank: Option<usize>,
    /// Texts whose passes are in memory at a time.
    pub mini_batch_size: Option<usize>,
    /// The largest learning rate.
    pub learning_rate: Option<f64>,
    /// The name of a loss.
    pub loss: Option<String>,
    /// Part of the examples to measure by.
    pub held_out: Option<f64>,
    /// Epochs without a better figure after which to end.
    pub patience: Option<usize>,
    /// Tokens of a text that are read.
    pub max_tokens: Option<usize>,
    /// What order, split and omissions follow from.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda` or `metal`.
    pub device: String,
}

/// What a training process says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainingMessage {
    /// The model is measured before it learns.
    Measuring,
    /// Steps were made.
    Step {
        /// Steps so far, of all epochs.
        done: u64,
        /// Steps of all epochs.
        steps: u64,
        /// The mean loss of the last ones.
        loss: f64,
        /// Tokens that have gone through the encoder.
        tokens: u64,
    },
    /// An epoch has ended: what `siamese train --json` says of it.
    Epoch(Value),
    /// The model has been written: the report of `siamese train --json`. The last message.
    Done(Value),
    /// There is no model. The last message.
    Failed(TrainingFailure),
}

/// Why there is no model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingFailure {
    /// Whether another request might do better: examples, settings or the model do not fit.
    pub is_bad_input: bool,
    /// A sentence.
    pub reason: String,
}
