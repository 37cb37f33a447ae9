//! How to train.

use siamese_encoder::DevicePreference;

use crate::{Error, Examples, Loss};

/// How to train. The default is what suits most pairs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is to become small; without it, what follows from the examples.
    pub loss: Option<Loss>,
    /// How often each example is learned from, 1 to 100.
    pub epochs: usize,
    /// Examples of a step, 2 to 65 536. With multiple negatives, more make the task harder.
    pub batch_size: usize,
    /// Texts whose passes are in memory at a time; the result is that of the whole batch. Each text of such
    /// a batch goes through the encoder twice.
    pub mini_batch_size: Option<usize>,
    /// The largest learning rate, above 0.
    pub learning_rate: f64,
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            loss: None,
            epochs: 1,
            batch_size: 32,
            mini_batch_size: None,
            learning_rate: 2e-5,
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
        }
    }
}

impl Settings {
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
                is_within(self.learning_rate, 0.0, 1.0) && self.learning_rate > 0.0,
                "above 0, to 1",
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
