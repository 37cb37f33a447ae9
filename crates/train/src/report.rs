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

/// By what a model was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasuredBy {
    /// Examples that were kept aside.
    HeldOut,
    /// Examples of something else: what was forgotten.
    Control,
}

/// A figure of the model before and of the one that was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// By what it was measured.
    pub measured_by: MeasuredBy,
    /// What it is called.
    pub name: String,
    /// The model as it was.
    pub before: f64,
    /// The model after the epoch that was kept.
    pub after: f64,
}

impl Report {
    /// Returns the epoch whose model was kept.
    pub fn best(&self) -> Option<&EpochReport> {
        let mut epochs = self.epochs.iter();
        epochs.find(|epoch| epoch.epoch == self.best_epoch)
    }

    /// Returns what is known of the model before and after: first what decides, with figures beside it, then the control.
    pub fn figures(&self) -> Vec<Figure> {
        let best = self.best();
        let sides = [
            (
                MeasuredBy::HeldOut,
                self.before,
                best.and_then(|best| best.after),
            ),
            (
                MeasuredBy::Control,
                self.control_before,
                best.and_then(|best| best.control),
            ),
        ];
        let sides = sides
            .into_iter()
            .filter_map(|(measured_by, before, after)| {
                Some((measured_by, before?.figures(), after?.figures()))
            });
        let figures = sides.flat_map(|(measured_by, before, after)| {
            let pairs = before.into_iter().zip(after);
            let same = pairs.filter(|(before, after)| before.0 == after.0);
            same.map(move |((name, before), (_, after))| Figure {
                measured_by,
                name,
                before,
                after,
            })
        });
        figures.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metric;

    fn evaluation(metric: Metric, value: f64, mrr_at_10: Option<f64>) -> Evaluation {
        Evaluation {
            metric,
            value,
            accuracy_at_1: None,
            mrr_at_10,
        }
    }

    #[test]
    fn figures_are_those_of_the_epoch_that_was_kept() {
        let epoch = |number, value| EpochReport {
            epoch: number,
            mean_loss: 0.0,
            steps: 1,
            after: Some(evaluation(Metric::NdcgAt10, value, Some(value / 2.0))),
            control: Some(evaluation(Metric::Spearman, value / 4.0, None)),
            seconds: 0.0,
        };
        let report = Report {
            loss: "loss".to_owned(),
            training_examples: 1,
            held_out_examples: 1,
            data_sha256: String::new(),
            base_model: String::new(),
            before: Some(evaluation(Metric::NdcgAt10, 0.5, Some(0.25))),
            control_before: Some(evaluation(Metric::Spearman, 0.1, None)),
            epochs: vec![epoch(1, 0.6), epoch(2, 0.8), epoch(3, 0.7)],
            best_epoch: 2,
            losses: Vec::new(),
            tokens: 1,
            seconds: 1.0,
        };
        let figures = report.figures();
        let figures = figures
            .iter()
            .map(|it| (it.measured_by, it.name.as_str(), it.before, it.after));
        assert_eq!(
            figures.collect::<Vec<_>>(),
            [
                (MeasuredBy::HeldOut, "nDCG@10", 0.5, 0.8),
                (MeasuredBy::HeldOut, "MRR@10", 0.25, 0.4),
                (MeasuredBy::Control, "Spearman", 0.1, 0.2),
            ]
        );
        let none = Report {
            best_epoch: 0,
            ..report
        };
        assert!(none.figures().is_empty());
    }
}
