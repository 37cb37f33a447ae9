//! AdamW: steps along running means of gradients (Loshchilov and Hutter, "Decoupled Weight Decay
//! Regularization", 2019), with the numbers that torch has.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, InplaceOp2, Layout, Storage, Tensor, bail};
use rayon::prelude::*;
use siamese_encoder::LearnedWeight;

use crate::learner::Gradients;

type Result<T, E = candle_core::Error> = std::result::Result<T, E>;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// What running means are called in a state.
const MOMENTS: [&str; 2] = ["mean", "square"];
/// Values that a thread takes at once.
const PIECE: usize = 1 << 14;

/// What is known of the gradients so far, for each weight in order.
#[derive(Debug)]
pub(crate) struct Optimizer {
    moments: Vec<Moments>,
    steps: i32,
    weight_decay: f64,
    max_gradient_norm: f64,
}

/// Running means of a gradient and of its square.
#[derive(Debug)]
enum Moments {
    Cpu(Mutex<[Vec<f32>; 2]>),
    Device([Tensor; 2]),
}

impl Optimizer {
    pub(crate) fn new(
        weights: &[LearnedWeight],
        weight_decay: f64,
        max_gradient_norm: f64,
    ) -> Result<Self> {
        let moments = weights
            .iter()
            .map(|weight| match weight.values.device().is_cpu() {
                true => {
                    let zeros = || vec![0.0; weight.values.elem_count()];
                    Ok(Moments::Cpu(Mutex::new([zeros(), zeros()])))
                }
                false => {
                    let zeros = || weight.values.zeros_like();
                    Ok(Moments::Device([zeros()?, zeros()?]))
                }
            });
        Ok(Self {
            moments: moments.collect::<Result<_>>()?,
            steps: 0,
            weight_decay,
            max_gradient_norm,
        })
    }

    /// What is known of the gradients, by the names of their weights.
    pub(crate) fn state(&self, weights: &[LearnedWeight]) -> Result<Vec<(String, Tensor)>> {
        let mut state = Vec::new();
        for (weight, moments) in weights.iter().zip(&self.moments) {
            let moments = match moments {
                Moments::Device(moments) => moments.clone(),
                Moments::Cpu(moments) => {
                    let [means, squares] = &*moments.lock().unwrap_or_else(PoisonError::into_inner);
                    let tensor = |values: &[f32]| {
                        Tensor::from_slice(values, weight.values.shape(), weight.values.device())
                    };
                    [tensor(means)?, tensor(squares)?]
                }
            };
            let names = MOMENTS
                .iter()
                .map(|moment| format!("{moment}.{}", weight.name));
            state.extend(names.zip(moments));
        }
        Ok(state)
    }

    /// Goes on from such a state after so many steps.
    ///
    /// # Errors
    /// When `tensor` knows no tensor of a name, or it is of another shape.
    pub(crate) fn restore<'a, E: From<candle_core::Error>>(
        &mut self,
        weights: &[LearnedWeight],
        steps: usize,
        tensor: impl Fn(&str) -> Result<&'a Tensor, E>,
    ) -> Result<(), E> {
        for (weight, moments) in weights.iter().zip(&mut self.moments) {
            let [mean, square] = MOMENTS.map(|moment| tensor(&format!("{moment}.{}", weight.name)));
            let restored = [mean?.clone(), square?.clone()];
            match moments {
                Moments::Device(moments) => *moments = restored,
                Moments::Cpu(moments) => {
                    let moments = moments.get_mut().unwrap_or_else(PoisonError::into_inner);
                    for (moment, restored) in moments.iter_mut().zip(restored) {
                        *moment = restored.reshape(moment.len())?.to_vec1()?;
                    }
                }
            }
        }
        self.steps = i32::try_from(steps).unwrap_or(i32::MAX);
        Ok(())
    }

    /// Changes weights by their gradients, as far as they have any. Returns the length that all gradients
    /// together had.
    pub(crate) fn step(
        &mut self,
        weights: &[LearnedWeight],
        gradients: &Gradients,
        learning_rate: f64,
    ) -> Result<f64> {
        let squares = gradients.iter().flatten().map(squared_length);
        let norm = squares.sum::<Result<f64>>()?.sqrt();
        self.steps += 1;
        let rate = learning_rate / (1.0 - BETA_1.powi(self.steps));
        let weights = weights.iter().zip(gradients);
        for ((weight, gradient), moments) in weights.zip(&mut self.moments) {
            let Some(gradient) = gradient else {
                continue;
            };
            let decay = if weight.is_matrix() {
                self.weight_decay
            } else {
                0.0
            };
            let step = Step {
                clip: clip(norm, self.max_gradient_norm),
                keep: 1.0 - learning_rate * decay,
                rate,
                second_scale: 1.0 / (1.0 - BETA_2.powi(self.steps)),
            };
            step.apply(weight, gradient, moments)?;
        }
        Ok(norm)
    }
}

/// What gradients are multiplied by, so that all together are no longer than `max`, as torch computes it.
fn clip(norm: f64, max: f64) -> f64 {
    (max / (norm + 1e-6)).min(1.0)
}

fn squared_length(gradient: &Tensor) -> Result<f64> {
    let gradient = gradient.contiguous()?;
    let (storage, layout) = gradient.storage_and_layout();
    let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets())
    else {
        let sum = gradient.sqr()?.sum_all()?;
        return Ok(f64::from(sum.to_scalar::<f32>()?));
    };
    let values = &storage.as_slice::<f32>()?[start..end];
    let sum = |piece: &[f32]| {
        piece
            .iter()
            .map(|value| f64::from(*value).powi(2))
            .sum::<f64>()
    };
    // In the order of the pieces, so that it is the same every time.
    let sums: Vec<f64> = values.par_chunks(PIECE).map(sum).collect();
    Ok(sums.into_iter().sum())
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy)]
struct Step {
    clip: f64,
    keep: f64,
    rate: f64,
    second_scale: f64,
}

impl Step {
    fn apply(self, weight: &LearnedWeight, gradient: &Tensor, moments: &mut Moments) -> Result<()> {
        match moments {
            Moments::Cpu(moments) => {
                let change = Change {
                    step: self,
                    moments,
                };
                weight.values.inplace_op2(&gradient.contiguous()?, &change)
            }
            Moments::Device([first, second]) => {
                let gradient = (gradient * self.clip)?;
                *first = ((&*first * BETA_1)? + (&gradient * (1.0 - BETA_1))?)?;
                *second = ((&*second * BETA_2)? + (gradient.sqr()? * (1.0 - BETA_2))?)?;
                let length = ((&*second * self.second_scale)?.sqrt()? + EPSILON)?;
                let change = (first.div(&length)? * self.rate)?;
                let kept = (weight.values.as_tensor() * self.keep)?;
                weight.values.set(&(kept - change)?)
            }
        }
    }
}

/// The same in one pass over memory.
struct Change<'a> {
    step: Step,
    moments: &'a Mutex<[Vec<f32>; 2]>,
}

impl InplaceOp2 for Change<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        weights: &mut CpuStorage,
        weights_layout: &Layout,
        gradients: &CpuStorage,
        gradients_layout: &Layout,
    ) -> Result<()> {
        let (CpuStorage::F32(weights), CpuStorage::F32(gradients)) = (weights, gradients) else {
            bail!("weights and gradients are f32");
        };
        let (Some((start, end)), Some((first, last))) = (
            weights_layout.contiguous_offsets(),
            gradients_layout.contiguous_offsets(),
        ) else {
            bail!("weights and gradients are contiguous");
        };
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let [means, squares] = &mut *moments;
        let pieces = weights[start..end]
            .par_chunks_mut(PIECE)
            .zip(gradients[first..last].par_chunks(PIECE))
            .zip(means.par_chunks_mut(PIECE))
            .zip(squares.par_chunks_mut(PIECE));
        pieces.for_each(|(((weights, gradients), means), squares)| {
            self.step.change(weights, gradients, means, squares);
        });
        Ok(())
    }
}

impl Step {
    fn change(
        self,
        weights: &mut [f32],
        gradients: &[f32],
        means: &mut [f32],
        squares: &mut [f32],
    ) {
        let [clip, keep, rate, scale] =
            [self.clip, self.keep, self.rate, self.second_scale].map(|number| number as f32);
        let [beta_1, beta_2, epsilon] = [BETA_1, BETA_2, EPSILON].map(|number| number as f32);
        let values = weights.iter_mut().zip(gradients).zip(means).zip(squares);
        for (((weight, gradient), mean), square) in values {
            let gradient = gradient * clip;
            *mean = beta_1 * *mean + (1.0 - beta_1) * gradient;
            *square = beta_2 * *square + (1.0 - beta_2) * gradient * gradient;
            *weight = *weight * keep - rate * *mean / ((*square * scale).sqrt() + epsilon);
        }
    }
}
