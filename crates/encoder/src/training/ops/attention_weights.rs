//! How much of each value a query takes.

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::dropout::Omissions;
use super::power_of_e::power_of_e;
use super::{values, with};

/// The softmax over the last dimension of scores `[texts, heads, queries, keys]`, each multiplied by `scale` and
/// with biases of the same shape added, which are as long as the scores or 1 in each dimension but the last; some of
/// the weights are left out.
///
/// One operation, since its derivative needs only the scores: each step of its own would keep as many values
/// as there are scores.
pub(crate) fn attention_weights(
    scores: &Tensor,
    scale: f32,
    biases: &[Tensor],
    omissions: Option<Omissions>,
) -> Result<Tensor> {
    let biases = biases.iter().map(Bias::of).collect::<Result<_>>()?;
    scores.contiguous()?.apply_op1(AttentionWeights {
        scale,
        biases,
        omissions,
    })
}

#[derive(Debug)]
struct AttentionWeights {
    scale: f32,
    biases: Vec<Bias>,
    omissions: Option<Omissions>,
}

/// What is added to scores.
#[derive(Debug)]
struct Bias {
    values: Vec<f32>,
    /// Rows from one text, head and query to the next.
    steps: [usize; 3],
}

impl Bias {
    fn of(bias: &Tensor) -> Result<Self> {
        let (texts, heads, queries, _) = bias.dims4()?;
        let step = |count: usize, step: usize| if count == 1 { 0 } else { step };
        Ok(Self {
            steps: [
                step(texts, heads * queries),
                step(heads, queries),
                step(queries, 1),
            ],
            values: bias.flatten_all()?.to_vec1()?,
        })
    }

    fn row(&self, at: [usize; 3], keys: usize) -> &[f32] {
        let row: usize = at.iter().zip(self.steps).map(|(at, step)| at * step).sum();
        &self.values[row * keys..][..keys]
    }
}

/// Rows and their number.
#[derive(Debug, Clone, Copy)]
struct Shape4 {
    heads: usize,
    queries: usize,
    keys: usize,
}

impl Shape4 {
    fn of(dims: &[usize]) -> Result<Self> {
        match dims {
            [_, heads, queries, keys] => Ok(Self {
                heads: *heads,
                queries: *queries,
                keys: *keys,
            }),
            _ => bail!("scores of texts, heads, queries and keys were expected"),
        }
    }

    /// Rows of one head of one text.
    fn matrix(self) -> usize {
        self.queries * self.keys
    }
}

impl AttentionWeights {
    /// The softmax of the rows of a head, in place of their scores.
    fn softmax(&self, rows: &mut [f32], matrix: usize, shape: Shape4) {
        let (text, head) = (matrix / shape.heads, matrix % shape.heads);
        for (query, row) in rows.chunks_exact_mut(shape.keys).enumerate() {
            for value in row.iter_mut() {
                *value *= self.scale;
            }
            for bias in &self.biases {
                let bias = bias.row([text, head, query], shape.keys);
                row.iter_mut()
                    .zip(bias)
                    .for_each(|(value, bias)| *value += bias);
            }
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for value in row.iter_mut() {
                *value = power_of_e(*value - largest);
            }
            let scale = 1.0 / row.iter().sum::<f32>();
            row.iter_mut().for_each(|value| *value *= scale);
        }
    }

    /// By head, on all threads.
    fn derivative(&self, scores: &[f32], gradient: &[f32], shape: Shape4) -> Vec<f32> {
        let mut of_scores = scores.to_vec();
        let heads = of_scores
            .par_chunks_mut(shape.matrix())
            .zip(gradient.par_chunks(shape.matrix()))
            .enumerate();
        heads.for_each(|(matrix, (rows, gradient))| {
            self.softmax(rows, matrix, shape);
            let mut gradient = gradient.to_vec();
            if let Some(omissions) = &self.omissions {
                omissions.apply(&mut gradient, matrix);
            }
            let gradient = gradient.chunks_exact(shape.keys);
            for (row, gradient) in rows.chunks_exact_mut(shape.keys).zip(gradient) {
                // `output * (gradient - sum(output * gradient))`
                let sum: f32 = row.iter().zip(gradient).map(|(a, b)| a * b).sum();
                for (value, gradient) in row.iter_mut().zip(gradient) {
                    *value *= (gradient - sum) * self.scale;
                }
            }
        });
        of_scores
    }
}

impl CustomOp1 for AttentionWeights {
    fn name(&self) -> &'static str {
        "attention weights"
    }

    fn cpu_fwd(&self, scores: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut weights = values(scores, layout)?.to_vec();
        let shape = Shape4::of(layout.dims())?;
        let heads = weights.par_chunks_mut(shape.matrix()).enumerate();
        heads.for_each(|(matrix, rows)| {
            self.softmax(rows, matrix, shape);
            if let Some(omissions) = &self.omissions {
                omissions.apply(rows, matrix);
            }
        });
        Ok((CpuStorage::F32(weights), layout.shape().clone()))
    }

    fn bwd(&self, scores: &Tensor, _output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let shape = Shape4::of(scores.dims())?;
        let of_scores = with([scores, gradient], |[scores, gradient]| {
            self.derivative(scores, gradient, shape)
        })?;
        let of_scores = Tensor::from_vec(of_scores, scores.shape(), scores.device())?;
        Ok(Some(of_scores))
    }
}

/// The same by candle's operations, on any device.
pub(crate) fn attention_weights_by_tensors(
    scores: &Tensor,
    scale: f32,
    biases: &[Tensor],
) -> Result<Tensor> {
    candle_nn::ops::softmax(&biased_scores(scores, scale, biases)?, D::Minus1)
}

/// Scores multiplied by `scale`, with biases added.
pub(crate) fn biased_scores(scores: &Tensor, scale: f32, biases: &[Tensor]) -> Result<Tensor> {
    let scores = (scores * f64::from(scale))?;
    let add = |scores: Tensor, bias: &Tensor| scores.broadcast_add(bias);
    biases.iter().try_fold(scores, add)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn random(shape: &[usize]) -> Var {
        Var::randn(0_f32, 3.0, shape, &Device::Cpu).unwrap()
    }

    fn distance(a: &Tensor, b: &Tensor) -> f32 {
        let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        difference.max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn weights_and_derivatives_are_candles_for_biases_of_every_shape() {
        let (scores, wanted) = (random(&[3, 2, 5, 7]), random(&[3, 2, 5, 7]));
        let shapes = [[3, 1, 1, 7], [1, 2, 5, 7], [1, 1, 5, 7], [3, 2, 5, 7]];
        let biases: Vec<Tensor> = shapes
            .iter()
            .map(|shape| random(shape).as_detached_tensor())
            .collect();
        let ours = attention_weights(&scores, 0.3, &biases, None).unwrap();
        let theirs = attention_weights_by_tensors(&scores, 0.3, &biases).unwrap();
        assert!(distance(&ours, &theirs) < 1e-6);
        let gradient = |output: &Tensor| {
            let sum = (output * wanted.as_tensor()).unwrap().sum_all().unwrap();
            sum.backward().unwrap().remove(&scores).unwrap()
        };
        assert!(distance(&gradient(&ours), &gradient(&theirs)) < 1e-5);
    }

    #[test]
    fn what_is_left_out_has_no_part_in_derivatives() {
        let scores = random(&[2, 2, 9, 9]);
        let omissions = Omissions::new(0.3, 5);
        let weights = attention_weights(&scores, 1.0, &[], Some(omissions)).unwrap();
        let whole = attention_weights(&scores, 1.0, &[], None).unwrap();
        // What was left of each weight, as a factor.
        let mask = weights.div(&whole).unwrap().detach();
        let wanted = random(&[2, 2, 9, 9]);
        let gradient = |output: &Tensor| {
            let sum = (output * wanted.as_tensor()).unwrap().sum_all().unwrap();
            sum.backward().unwrap().remove(&scores).unwrap()
        };
        let by_mask = (whole * mask).unwrap();
        assert!(distance(&gradient(&weights), &gradient(&by_mask)) < 1e-5);
    }
}
