//! One step of each loss and of several families, against torch (`tests/fixtures/make_steps.py`), and derivatives
//! against differences.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::backprop::GradStore;
use serde::Deserialize;

use crate::trainer::Batch;
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
            let (value, gradients) = trainer.gradients(&Batch::of(&data.examples)).unwrap();
            assert!(
                is_near(value, wanted.loss, 0.0),
                "{name}, {loss}: {value}, {}",
                wanted.loss
            );
            trainer
                .optimizer
                .step(trainer.encoder.weights(), &gradients, RATE)
                .unwrap();
            compare(&trainer, wanted, &format!("{name}, {loss}"));
        }
    }
}

fn compare(trainer: &Trainer<'_>, wanted: &Step, of: &str) {
    let mut compared = 0;
    for weight in trainer.encoder.weights() {
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
fn slopes(trainer: &Trainer<'_>, gradients: &GradStore) -> Vec<f64> {
    let slope = |weight: &siamese_encoder::LearnedWeight| {
        let gradient = gradients.get(weight.values.as_tensor()).unwrap();
        let product = (gradient * weight.values.as_tensor())
            .unwrap()
            .sum_all()
            .unwrap();
        f64::from(product.to_scalar::<f32>().unwrap())
    };
    trainer.encoder.weights().iter().map(slope).collect()
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
        let (_, gradients) = trainer.gradients(&batch).unwrap();
        let slopes = slopes(&trainer, &gradients);
        let largest = slopes
            .iter()
            .fold(0.0_f64, |largest, slope| largest.max(slope.abs()));
        for (place, slope) in slopes.iter().enumerate() {
            let mut at = |factor: f64| {
                let weight = &trainer.encoder.weights()[place];
                let before = weight.values.as_tensor().copy().unwrap();
                weight.values.set(&(&before * factor).unwrap()).unwrap();
                let (value, _) = trainer.gradients(&batch).unwrap();
                trainer.encoder.weights()[place]
                    .values
                    .set(&before)
                    .unwrap();
                value
            };
            let difference = (at(1.0 + PART) - at(1.0 - PART)) / (2.0 * PART);
            let name = &trainer.encoder.weights()[place].name;
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
        let (data, settings) = (data(&steps, loss), settings(loss));
        let mut trainer = Trainer::open(&folder, &data, None, &settings).unwrap();
        let batch = Batch::of(&data.examples);
        let (whole_loss, whole) = trainer.gradients(&batch).unwrap();
        let (parts_loss, parts) = trainer.gradients_in_parts(&batch, 3).unwrap();
        assert!(is_near(parts_loss, whole_loss, 0.0));
        let (whole, parts) = (slopes(&trainer, &whole), slopes(&trainer, &parts));
        for (whole, parts) in whole.iter().zip(parts) {
            assert!((whole - parts).abs() < 1e-4, "{loss}: {whole} {parts}");
        }
    }
}
