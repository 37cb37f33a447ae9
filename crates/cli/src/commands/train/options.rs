//! How to train, on the command line.

use std::time::Duration;

use siamese_encoder::DevicePreference;
use siamese_train::{Loss, Settings};

/// How to train.
#[derive(Debug, clap::Args)]
pub(crate) struct TrainOptions {
    /// multiple-negatives, triplet, cosent, cosine or contrastive; follows from the columns without it
    #[arg(long, value_name = "NAME")]
    loss: Option<Loss>,
    /// How often each example is learned from
    #[arg(long, value_name = "N", default_value_t = Settings::default().epochs)]
    epochs: usize,
    /// Examples of a step
    #[arg(long, value_name = "N", default_value_t = Settings::default().batch_size)]
    batch_size: usize,
    /// Bytes that passes take at a time, about: those of a larger batch are made part by part, and each text then
    /// goes through the encoder twice
    #[arg(long, value_name = "BYTES", default_value_t = Settings::default().max_pass_bytes)]
    max_pass_bytes: u64,
    /// Texts of such a part at most
    #[arg(long, value_name = "N")]
    mini_batch_size: Option<usize>,
    /// Learn thin matrices of this rank beside those of the model (LoRA), in less memory than all weights take
    #[arg(long, value_name = "RANK")]
    lora_rank: Option<usize>,
    /// What their product is multiplied by, divided by the rank; twice the rank without it
    #[arg(long, value_name = "NUMBER", requires = "lora_rank")]
    lora_alpha: Option<f64>,
    /// Largest learning rate; 2e-5 without it, and 5e-4 with --lora-rank
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Part of all steps in which the learning rate grows
    #[arg(long, value_name = "PART", default_value_t = Settings::default().warmup)]
    warmup: f64,
    /// By which part of the learning rate matrices are pulled towards zero
    #[arg(long, value_name = "PART", default_value_t = Settings::default().weight_decay)]
    weight_decay: f64,
    /// What cosines are multiplied by
    #[arg(long, value_name = "NUMBER", default_value_t = Settings::default().scale)]
    scale: f64,
    /// Distance beyond which it does not matter how far apart texts are; 0.5 for labels and 0.2 for triplets
    /// without it
    #[arg(long, value_name = "DISTANCE")]
    margin: Option<f64>,
    /// Ask of positives, too, that they are nearer to their anchors than to others
    #[arg(long)]
    symmetric: bool,
    /// Also train vectors that are cut to these lengths
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    matryoshka: Vec<usize>,
    /// Leave out no values at random
    #[arg(long)]
    no_dropout: bool,
    /// Tokens of a text that are read; the model's window without it
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// Part of the examples that is kept aside to measure by; 0 for none
    #[arg(long, value_name = "PART", default_value_t = Settings::default().held_out)]
    held_out: f64,
    /// End after so many epochs without a better figure
    #[arg(long, value_name = "N")]
    patience: Option<usize>,
    /// The same seed makes the same order, split and omissions
    #[arg(long, value_name = "N", default_value_t = Settings::default().seed)]
    seed: u64,
    /// auto, cpu, cuda or metal
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = device)]
    device: DevicePreference,
    /// How often what --resume needs is written, beside the end of each epoch
    #[arg(long, value_name = "N", default_value_t = 5)]
    checkpoint_minutes: u64,
}

impl TrainOptions {
    pub(super) fn settings(&self) -> Settings {
        Settings {
            loss: self.loss,
            epochs: self.epochs,
            batch_size: self.batch_size,
            max_pass_bytes: self.max_pass_bytes,
            mini_batch_size: self.mini_batch_size,
            lora_rank: self.lora_rank,
            lora_alpha: self.lora_alpha,
            learning_rate: self.learning_rate,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            scale: self.scale,
            margin: self.margin,
            symmetric: self.symmetric,
            dimensions: self.matryoshka.clone(),
            dropout: !self.no_dropout,
            max_tokens: self.max_tokens,
            held_out: self.held_out,
            patience: self.patience,
            seed: self.seed,
            device: self.device,
            checkpoint_every: Duration::from_secs(self.checkpoint_minutes.saturating_mul(60)),
            ..Settings::default()
        }
    }
}

pub(crate) fn device(name: &str) -> Result<DevicePreference, String> {
    match name {
        "auto" => Ok(DevicePreference::Auto),
        "cpu" => Ok(DevicePreference::Cpu),
        "cuda" => Ok(DevicePreference::Cuda),
        "metal" => Ok(DevicePreference::Metal),
        _ => Err("it may be auto, cpu, cuda or metal".to_owned()),
    }
}
