//! One step of each loss and of several families, against torch (`tests/fixtures/make_steps.py`), and derivatives
//! against differences.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::batch::Batch;
use crate::learner::Gradients;
use crate::{Examples, GradedPair, Loss, RankedPair, Settings, Trainer, TrainingData};

const RATE: f64 = 1e-3;

#[derive(Deserialize)]
struct Steps {
    triples: Vec<[String; 3]>,
    graded: Vec<(String, String, f32)>,
    labelled: Vec<(String, String, f32)>,
    /// By model, then by loss.
    models: BTreeMap<String, BTreeMap<String, Step>>,
}

#[derive(Deserialize)]
struct Step {
    loss: f64,
    /// Of each tensor the sum, the sum of squares and the first values.
    weights: BTreeMap<String, Vec<f64>>,
}

fn steps() -> Steps {
    serde_json::from_str(include_str!("../tests/fixtures/steps.json")).unwrap()
}

fn model(name: &str) -> PathBuf {
    let models = "../encoder/tests/fixtures/models";
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(models)
        .join(name)
}

fn data(steps: &Steps, loss: &str) -> TrainingData {
    let mut data = TrainingData::default();
    let mut number = |text: &str| data.texts.number(text);
    let mut graded = |pairs: &[(String, String, f32)]| -> Vec<GradedPair> {
        let pairs = pairs.iter().map(|(left, right, score)| GradedPair {
            left: number(left),
            right: number(right),
            score: *score,
        });
        pairs.collect()
    };
    data.examples = match loss {
        "cosent" | "cosine" => Examples::Scored(graded(&steps.graded)),
        "contrastive" => Examples::Labelled(graded(&steps.labelled)),
        _ => {
            // What is symmetric has no negatives in sentence-transformers.
            let has_negatives = !loss.ends_with("symmetric");
            let pairs = steps
                .triples
                .iter()
                .map(|[anchor, positive, negative]| RankedPair {
                    anchor: number(anchor),
                    positive: number(positive),
                    negatives: if has_negatives {
                        vec![number(negative)]
                    } else {
                        Vec::new()
                    },
                    label: None,
                });
            Examples::Ranked(pairs.collect())
        }
    };
    data
}

fn settings(loss: &str) -> Settings {
    let name = loss.split(',').next().unwrap();
    Settings {
        loss: Some(name.parse::<Loss>().unwrap()),
        symmetric: loss.ends_with("symmetric"),
        dimensions: if loss.ends_with("cut") {
            vec![8]
        } else {
            Vec::new()
        },
        dropout: false,
        held_out: 0.0,
        ..Settings::default()
    }
}

/// Two numbers that differ by rounding in some thousand additions at most.
fn is_near(ours: f64, theirs: f64, scale: f64) -> bool {
    (ours - theirs).abs() <= 1e-4 * scale.max(theirs.abs())
}

#[test]
fn a_step_is_that_of_torch_for_each_loss_and_family() {
    let steps = steps();
    for (name, losses) in &steps.models {
        let folder = model(name);
        for (loss, wanted) in losses {
            let (data, settings) = (data(&steps, loss), settings(loss));
            let mut trainer = Trainer::open(&folder, &data, None, &settings).unwrap();
            let (value, gradients) = trainer
                .learner
                .gradients(&Batch::of(&data.examples), 0)
                .unwrap();
            assert!(
                is_near(value, wanted.loss, 0.0),
                "{name}, {loss}: {value}, {}",
                wanted.loss
            );
            trainer
                .optimizer
                .step(trainer.learner.encoder.weights(), &gradients, RATE)
                .unwrap();
            compare(&trainer, wanted, &format!("{name}, {loss}"));
        }
    }
}

fn compare(trainer: &Trainer<'_>, wanted: &Step, of: &str) {
    let mut compared = 0;
    for weight in trainer.learner.encoder.weights() {
        let Some((name, wanted)) = wanted
            .weights
            .iter()
            .find(|(name, _)| weight.name.ends_with(*name))
        else {
            panic!("{of}: torch learns no {}", weight.name);
        };
        // What is added to all keys changes no softmax: the derivative is 0 but for rounding, of which the first
        // step of Adam sees the sign alone.
        if name.ends_with("key.bias") || name.ends_with("k_lin.bias") {
            continue;
        }
        let values: Vec<f64> = {
            let values = weight
                .values
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap();
            values.into_iter().map(f64::from).collect()
        };
        let squares: f64 = values.iter().map(|value| value * value).sum();
        let scale = (squares * values.len() as f64).sqrt();
        let sum: f64 = values.iter().sum();
        assert!(
            is_near(sum, wanted[0], scale),
            "{of}: {name} adds up to {sum}, not {}",
            wanted[0]
        );
        assert!(
            is_near(squares, wanted[1], 0.0),
            "{of}: {name}: {squares}, not {}",
            wanted[1]
        );
        let typical = (squares / values.len() as f64).sqrt();
        for (value, wanted) in values.iter().zip(&wanted[2..]) {
            assert!(
                is_near(*value, *wanted, typical),
                "{of}: {name} has {value}, not {wanted}"
            );
        }
        compared += 1;
    }
    assert!(compared > 20, "{of}: {compared} tensors");
}

/// The derivative of each weight along itself.
fn slopes(trainer: &Trainer<'_>, gradients: &Gradients) -> Vec<f64> {
    let weights = trainer.learner.encoder.weights().iter();
    let slopes = weights.zip(gradients).map(|(weight, gradient)| {
        let gradient = gradient.as_ref().unwrap();
        let product = (gradient * weight.values.as_tensor())
            .unwrap()
            .sum_all()
            .unwrap();
        f64::from(product.to_scalar::<f32>().unwrap())
    });
    slopes.collect()
}

#[test]
fn derivatives_are_those_of_differences() {
    const PART: f64 = 2e-3;
    let steps = steps();
    let folder = model("bert-old-dialect");
    for loss in steps.models["bert-old-dialect"].keys() {
        let (data, settings) = (data(&steps, loss), settings(loss));
        let mut trainer = Trainer::open(&folder, &data, None, &settings).unwrap();
        let batch = Batch::of(&data.examples);
        let (_, gradients) = trainer.learner.gradients(&batch, 0).unwrap();
        let slopes = slopes(&trainer, &gradients);
        let largest = slopes
            .iter()
            .fold(0.0_f64, |largest, slope| largest.max(slope.abs()));
        for (place, slope) in slopes.iter().enumerate() {
            let mut at = |factor: f64| {
                let weight = &trainer.learner.encoder.weights()[place];
                let before = weight.values.as_tensor().copy().unwrap();
                weight.values.set(&(&before * factor).unwrap()).unwrap();
                let (value, _) = trainer.learner.gradients(&batch, 0).unwrap();
                trainer.learner.encoder.weights()[place]
                    .values
                    .set(&before)
                    .unwrap();
                value
            };
            let difference = (at(1.0 + PART) - at(1.0 - PART)) / (2.0 * PART);
            let name = &trainer.learner.encoder.weights()[place].name;
            assert!(
                (difference - slope).abs() < 0.02 * largest.max(0.05),
                "{loss}: {name}: {slope}, by differences {difference}"
            );
        }
    }
}

#[test]
fn a_batch_in_parts_has_the_derivatives_of_the_whole() {
    let steps = steps();
    let folder = model("bert-old-dialect");
    for loss in ["multiple-negatives", "cosent"] {
        let (data, whole) = (data(&steps, loss), settings(loss));
        let parts = Settings {
            mini_batch_size: Some(3),
            ..whole.clone()
        };
        // Less than one text takes, so that each is a part of its own.
        let single = Settings {
            max_pass_bytes: 1,
            ..whole.clone()
        };
        let [whole, parts, single] = [&whole, &parts, &single].map(|settings| {
            let mut trainer = Trainer::open(&folder, &data, None, settings).unwrap();
            let batch = Batch::of(&data.examples);
            let (value, gradients) = trainer.learner.gradients(&batch, 0).unwrap();
            (value, slopes(&trainer, &gradients))
        });
        for (value, slopes) in [parts, single] {
            assert!(is_near(value, whole.0, 0.0));
            for (whole, parts) in whole.1.iter().zip(slopes) {
                assert!((whole - parts).abs() < 1e-4, "{loss}: {whole} {parts}");
            }
        }
    }
}

#[test]
fn adapters_have_the_derivatives_of_differences_and_are_saved_as_part_of_the_weights() {
    const PART: f32 = 0.05;
    let steps = steps();
    for name in ["bert-old-dialect", "modernbert"] {
        let folder = model(name);
        let data = data(&steps, "multiple-negatives");
        let settings = Settings {
            lora_rank: Some(4),
            ..settings("multiple-negatives")
        };
        let mut trainer = Trainer::open(&folder, &data, None, &settings).unwrap();
        let batch = Batch::of(&data.examples);
        // The second matrices are 0, so that nothing is learned of the first ones yet.
        for step in 0..3 {
            let (_, gradients) = trainer.learner.gradients(&batch, step).unwrap();
            let weights = trainer.learner.encoder.weights();
            trainer.optimizer.step(weights, &gradients, 0.01).unwrap();
        }
        let (_, gradients) = trainer.learner.gradients(&batch, 0).unwrap();
        let slopes = slopes(&trainer, &gradients);
        let largest = slopes
            .iter()
            .fold(0.0_f64, |most, slope| most.max(slope.abs()));
        assert!(largest > 1e-3, "{name}: {largest}");
        for (place, slope) in slopes.iter().enumerate() {
            let mut at = |factor: f32| {
                let weight = &trainer.learner.encoder.weights()[place];
                let before = weight.values.as_tensor().copy().unwrap();
                weight
                    .values
                    .set(&(&before * f64::from(factor)).unwrap())
                    .unwrap();
                let (value, _) = trainer.learner.gradients(&batch, 0).unwrap();
                trainer.learner.encoder.weights()[place]
                    .values
                    .set(&before)
                    .unwrap();
                value
            };
            let difference = (at(1.0 + PART) - at(1.0 - PART)) / (2.0 * f64::from(PART));
            assert!(
                (difference - slope).abs() < 0.03 * largest,
                "{name}: {slope}, by differences {difference}"
            );
        }
        let scratch = tempfile::tempdir().unwrap();
        let saved = scratch.path().join("saved");
        trainer.learner.encoder.save(&saved).unwrap();
        let whole = Settings {
            lora_rank: None,
            ..settings.clone()
        };
        let mut whole = Trainer::open(&saved, &data, None, &whole).unwrap();
        let (wanted, _) = trainer.learner.gradients(&batch, 0).unwrap();
        let (value, _) = whole.learner.gradients(&batch, 0).unwrap();
        assert!(is_near(value, wanted, 0.0), "{name}: {value}, {wanted}");
    }
}
