//! What is learned of a model.

use candle_core::{Tensor, Var};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::adapter::{Adapter, Adapters};

/// A tensor that is learned.
#[derive(Debug)]
pub struct LearnedWeight {
    /// Its name in the model's file; that of an adapter's matrices is the layer's with an end of its own.
    pub name: String,
    /// Its values.
    pub values: Var,
}

impl LearnedWeight {
    /// Whether it is a matrix. Others are biases and what norms multiply by, which are not pulled towards
    /// zero.
    #[must_use]
    pub fn is_matrix(&self) -> bool {
        self.values.rank() > 1
    }
}

/// Collects what is learned while weights are read.
#[derive(Debug)]
pub(crate) struct Learned {
    weights: Vec<LearnedWeight>,
    /// Instead of the weights themselves.
    adapters: Option<(Adapters, SmallRng)>,
    adapted: Vec<Adapted>,
}

/// A matrix that stays as it is, and what is added to it.
#[derive(Debug)]
struct Adapted {
    name: String,
    matrix: Tensor,
    adapter: Adapter,
}

impl Learned {
    /// Of all weights, or of adapters instead.
    pub(crate) fn new(adapters: Option<Adapters>) -> Self {
        let begin = |adapters: Adapters| (adapters, SmallRng::seed_from_u64(adapters.seed));
        Self {
            weights: Vec::new(),
            adapters: adapters.map(begin),
            adapted: Vec::new(),
        }
    }

    /// A weight of the file, as one that is learned if weights are.
    pub(crate) fn weight(&mut self, name: &str, values: Tensor) -> candle_core::Result<Tensor> {
        if self.adapters.is_some() {
            return Ok(values);
        }
        let values = Var::from_tensor(&values)?;
        let tensor = values.as_tensor().clone();
        let name = name.to_owned();
        self.weights.push(LearnedWeight { name, values });
        Ok(tensor)
    }

    /// What is learned to be added to a linear layer's matrix, if adapters are.
    pub(crate) fn adapter(
        &mut self,
        name: &str,
        matrix: &Tensor,
    ) -> candle_core::Result<Option<Adapter>> {
        let Some((adapters, chance)) = &mut self.adapters else {
            return Ok(None);
        };
        let (outputs, inputs) = matrix.dims2()?;
        let (adapter, variables) =
            Adapter::new([outputs, inputs], *adapters, chance, matrix.device())?;
        for (end, values) in ["lora_A", "lora_B"].into_iter().zip(variables) {
            let name = format!("{name}.{end}");
            self.weights.push(LearnedWeight { name, values });
        }
        self.adapted.push(Adapted {
            name: name.to_owned(),
            matrix: matrix.clone(),
            adapter: adapter.clone(),
        });
        Ok(Some(adapter))
    }

    pub(super) fn weights(&self) -> &[LearnedWeight] {
        &self.weights
    }

    /// The tensors of the file that are not as they were, as they are now.
    pub(super) fn changed(&self) -> candle_core::Result<Vec<(String, Tensor)>> {
        if self.adapters.is_none() {
            let weights = self.weights.iter();
            let weights =
                weights.map(|weight| (weight.name.clone(), weight.values.as_tensor().clone()));
            return Ok(weights.collect());
        }
        let adapted = self.adapted.iter();
        let adapted =
            adapted.map(|it| Ok((it.name.clone(), (&it.matrix + it.adapter.product()?)?)));
        adapted.collect()
    }
}
