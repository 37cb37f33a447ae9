//! Contrastive training: an encoder learns from examples of what is alike.
//!
//! Both sides of an example go through one encoder with the same weights; a loss says how far their vectors
//! are from what the example asks for, and the weights are changed by its derivatives. [`read`] reads
//! examples, [`split()`] keeps some of them aside, [`Trainer`] learns from the others and measures by those.

mod batch;
mod batches;
mod course;
mod curve;
mod data;
mod error;
mod evaluation;
mod learner;
mod loss;
mod mining;
mod model_card;
mod optimizer;
mod report;
mod settings;
mod split;
#[cfg(test)]
mod steps_of_torch;
mod trainer;
mod work_folder;

pub use curve::LossPoint;
pub use data::{Examples, GradedPair, RankedPair, TextId, Texts, TrainingData, read};
pub use error::Error;
pub use evaluation::{Evaluation, Metric};
pub use loss::Loss;
pub use mining::{Belonging, MiningRules};
pub use report::{EpochReport, Figure, MeasuredBy, Report};
pub use settings::Settings;
pub use split::{Split, split};
pub use trainer::{Progress, Trainer};
