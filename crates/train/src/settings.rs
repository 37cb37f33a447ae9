//! How to train.

use std::time::Duration;

use siamese_encoder::{Adapters, DevicePreference, LearningOptions};

use crate::{Error, Examples, Loss};

/// The largest learning rate without a setting, of whole weights and of adapters, which begin at 0.
const LEARNING_RATES: [f64; 2] = [2e-5, 5e-4];

/// How to train. The default is what suits most pairs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is to become small; without it, what follows from the examples.
    pub loss: Option<Loss>,
    /// How often each example is learned from, 1 to 100.
    pub epochs: usize,
    /// Examples of a step, 2 to 65 536. With multiple negatives, more make the task harder.
    pub batch_size: usize,
    /// Bytes that passes take at a time, about: where those of a batch take more, they are made part by part, and
    /// each text goes through the encoder twice. The result is that of the whole batch.
    pub max_pass_bytes: u64,
    /// Texts of such a part at most.
    pub mini_batch_size: Option<usize>,
    /// Rank of the thin matrices that are learned instead of the weights, 1 to 1024; without it, all weights are.
    pub lora_rank: Option<usize>,
    /// What their product is multiplied by, divided by the rank; twice the rank without it.
    pub lora_alpha: Option<f64>,
    /// The largest learning rate, above 0; 2e-5 without it, and 5e-4 with a rank.
    pub learning_rate: Option<f64>,
    /// Part of all steps in which the learning rate grows, 0 to 1; afterwards it falls to 0.
    pub warmup: f64,
    /// By which part of the learning rate matrices are pulled towards zero.
    pub weight_decay: f64,
    /// The length that the gradient of a step has at most.
    pub max_gradient_norm: f64,
    /// What cosines are multiplied by in losses with exponents.
    pub scale: f64,
    /// Distances beyond which it does not matter how far apart texts are: 0.5 for labels, 0.2 for triplets
    /// without it.
    pub margin: Option<f64>,
    /// Ask of positives, too, that they are nearer to their anchors than to others.
    pub symmetric: bool,
    /// Also ask the same of vectors that are cut to these lengths (Matryoshka representations; Kusupati et
    /// al., 2022).
    pub dimensions: Vec<usize>,
    /// Leave out values at random, as the model's configuration says.
    pub dropout: bool,
    /// Tokens of a text that are read; at most the model's window.
    pub max_tokens: Option<usize>,
    /// Part of the examples that is kept aside to measure by, 0 to 0.5.
    pub held_out: f64,
    /// End after so many epochs without a better figure.
    pub patience: Option<usize>,
    /// The same seed makes the same order, the same split and the same omissions.
    pub seed: u64,
    /// Where the arithmetic is done.
    pub device: DevicePreference,
    /// How often what is needed to go on after an interruption is written, beside the end of each epoch.
    pub checkpoint_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            loss: None,
            epochs: 3,
            batch_size: 32,
            max_pass_bytes: 3 << 29,
            mini_batch_size: None,
            lora_rank: None,
            lora_alpha: None,
            learning_rate: None,
            warmup: 0.1,
            weight_decay: 0.01,
            max_gradient_norm: 1.0,
            scale: 20.0,
            margin: None,
            symmetric: false,
            dimensions: Vec::new(),
            dropout: true,
            max_tokens: None,
            held_out: 0.1,
            patience: None,
            seed: 42,
            device: DevicePreference::default(),
            checkpoint_every: Duration::from_mins(5),
        }
    }
}

impl Settings {
    pub(crate) fn largest_rate(&self) -> f64 {
        let default = LEARNING_RATES[usize::from(self.lora_rank.is_some())];
        self.learning_rate.unwrap_or(default)
    }

    pub(crate) fn learning(&self) -> LearningOptions {
        let adapters = self.lora_rank.map(|rank| Adapters {
            rank,
            alpha: self.lora_alpha.unwrap_or(2.0 * rank as f64),
            seed: self.seed,
        });
        LearningOptions {
            device: self.device,
            max_tokens: self.max_tokens,
            adapters,
        }
    }

    /// The loss for such examples.
    ///
    /// # Errors
    /// When the one that is set cannot be computed of them.
    pub(crate) fn loss_for(&self, examples: &Examples) -> Result<Loss, Error> {
        let loss = self.loss.unwrap_or_else(|| Loss::of(examples));
        match loss.fits(examples) {
            true => Ok(loss),
            false => Err(Error::Setting(format!(
                "the loss {loss} cannot be computed of these columns; without a loss, {} would be taken",
                Loss::of(examples)
            ))),
        }
    }

    /// # Errors
    /// A number out of its range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let ranges = [
            ("epochs", (1..=100).contains(&self.epochs), "1 to 100"),
            (
                "batch size",
                (2..=1 << 16).contains(&self.batch_size),
                "2 to 65536",
            ),
            (
                "mini-batch size",
                self.mini_batch_size != Some(0),
                "1 or more",
            ),
            (
                "learning rate",
                is_within(self.largest_rate(), 0.0, 1.0) && self.largest_rate() > 0.0,
                "above 0, to 1",
            ),
            (
                "rank of LoRA",
                self.lora_rank.is_none_or(|rank| (1..=1024).contains(&rank)),
                "1 to 1024",
            ),
            (
                "alpha of LoRA",
                self.lora_alpha
                    .is_none_or(|alpha| is_within(alpha, 1e-3, 1e4)),
                "0.001 to 10000",
            ),
            ("warm-up", is_within(self.warmup, 0.0, 1.0), "0 to 1"),
            (
                "weight decay",
                is_within(self.weight_decay, 0.0, 1.0),
                "0 to 1",
            ),
            ("gradient norm", self.max_gradient_norm > 0.0, "above 0"),
            ("scale", is_within(self.scale, 1e-3, 1e3), "0.001 to 1000"),
            (
                "margin",
                self.margin.is_none_or(|margin| is_within(margin, 0.0, 2.0)),
                "0 to 2",
            ),
            (
                "held-out part",
                is_within(self.held_out, 0.0, 0.5),
                "0 to 0.5",
            ),
            ("dimensions", !self.dimensions.contains(&0), "1 or more"),
            ("patience", self.patience != Some(0), "1 or more"),
        ];
        match ranges.into_iter().find(|(_, is_fine, _)| !is_fine) {
            Some((name, _, range)) => Err(Error::Setting(format!("the {name} may be {range}"))),
            None => Ok(()),
        }
    }
}

fn is_within(value: f64, least: f64, most: f64) -> bool {
    (least..=most).contains(&value)
}
