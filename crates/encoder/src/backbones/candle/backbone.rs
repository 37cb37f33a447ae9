//! A transformer through candle's tensors.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use candle_core::{D, DType, Device, IndexOp, Tensor};
use candle_nn::Module;

use super::linear::LinearLayer;
use super::pass::Pass;
use super::weights::{Layer, Norm, Weights};
use crate::Error;
use crate::backbones::architecture::{self, Architecture, Norms};
use crate::backbones::backbone::Backbone;
use crate::backbones::packed_batch::{PackedBatch, TokenStates};
use crate::checkpoint::Checkpoint;
use crate::training::Learned;
use siamese_kernels::Activation;

/// What is added to scores, by the layers' windows.
type Biases = BTreeMap<Option<usize>, Vec<Tensor>>;

/// A transformer on a device.
#[derive(Debug)]
pub(crate) struct CandleBackbone {
    architecture: Architecture,
    device: Device,
    /// What is computed with.
    values: DType,
    weights: Weights,
}

impl CandleBackbone {
    /// Reads the weights onto a device, as `values` to compute with.
    ///
    /// # Errors
    /// A damaged file, or a device without room.
    pub(crate) fn open(
        architecture: Architecture,
        file: Checkpoint,
        device: &Device,
        values: DType,
    ) -> Result<Self, Error> {
        Ok(Self {
            weights: Weights::read(file, &architecture, (device, values), None)?,
            device: device.clone(),
            values,
            architecture,
        })
    }

    /// The same, and puts what may be learned of it into `learned`.
    ///
    /// # Errors
    /// As [`Self::open`], and for weights that are not used as the file has them.
    pub(crate) fn open_to_learn(
        architecture: Architecture,
        file: Checkpoint,
        device: &Device,
        learned: &mut Learned,
    ) -> Result<Self, Error> {
        if architecture.norm == architecture::Norm::RmsMoreThanOnce
            || architecture.embeddings.scale != 1.0
        {
            let what = "a model that multiplies what it reads, such as Gemma,".to_owned();
            return Err(Error::NotLearnable { what });
        }
        Ok(Self {
            weights: Weights::read(file, &architecture, (device, DType::F32), Some(learned))?,
            device: device.clone(),
            values: DType::F32,
            architecture,
        })
    }

    /// Values that are kept for the derivatives of a pass of texts as long as `longest`, for each of their tokens,
    /// about: what the operations of [`Self::layer`] read and write.
    pub(crate) fn values_kept(&self, longest: usize) -> usize {
        let Architecture {
            hidden,
            heads,
            intermediate,
            gated,
            ..
        } = self.architecture;
        let of_feed_forward = 4 * hidden + intermediate * if gated { 5 } else { 2 };
        let of_attention = 12 * hidden + 2 * heads * longest;
        self.architecture.order.len() * (of_attention + of_feed_forward)
    }

    /// The last layer's states of a batch as a tensor `[texts, longest, hidden]`; what stands after the end of a
    /// shorter text means nothing.
    ///
    /// # Errors
    /// A token without a row in a table, or a computation that fails.
    pub(crate) fn tensor(&self, batch: &mut PackedBatch, pass: &Pass<'_>) -> Result<Tensor, Error> {
        self.architecture.number(batch)?;
        Ok(self.states(batch, pass)?)
    }

    fn states(&self, batch: &PackedBatch, pass: &Pass<'_>) -> candle_core::Result<Tensor> {
        let mut states = self
            .weights
            .words
            .forward(&self.padded(batch, batch.ids())?)?;
        if let Some(positions) = &self.weights.positions {
            let rows = self.padded(batch, batch.positions())?;
            states = (states + positions.forward(&rows)?)?;
        }
        if let Some(segments) = &self.weights.segments {
            let type_ids = self.padded(batch, batch.type_ids())?;
            states = (states + segments.forward(&type_ids)?)?;
        }
        let mut states = match &self.weights.norm {
            Some(norm) => pass.norm(norm, &states)?,
            None => states,
        };
        states = pass.drop_states(states)?;
        if let Some(projection) = &self.weights.projection {
            states = pass.linear(projection, &states)?;
        }
        let biases = self.biases(batch)?;
        for layer in &self.architecture.order {
            states = self.layer(&self.weights.layers[*layer], &states, &biases, pass)?;
        }
        match &self.weights.last_norm {
            Some(norm) => pass.norm(norm, &states),
            None => Ok(states),
        }
    }

    fn layer(
        &self,
        layer: &Layer,
        states: &Tensor,
        biases: &Biases,
        pass: &Pass<'_>,
    ) -> candle_core::Result<Tensor> {
        let norms = (
            layer.attention_norm.as_ref(),
            layer.attention_output_norm.as_ref(),
        );
        let attend = |input: &Tensor| self.attend(layer, input, biases, pass);
        let attended = self.block(states, norms, pass, attend)?;
        let norms = (
            Some(&layer.feed_forward_norm),
            layer.feed_forward_output_norm.as_ref(),
        );
        let feed_forward = |input: &Tensor| self.feed_forward(layer, input, pass);
        self.block(&attended, norms, pass, feed_forward)
    }

    /// Adds what a block makes to its input, and normalises what its norms are for.
    fn block(
        &self,
        input: &Tensor,
        (norm, output_norm): (Option<&Norm>, Option<&Norm>),
        pass: &Pass<'_>,
        block: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<Tensor> {
        let apply = |norm: Option<&Norm>, states: Tensor| match norm {
            Some(norm) => pass.norm(norm, &states),
            None => Ok(states),
        };
        let block = |input: &Tensor| pass.drop_states(block(input)?);
        match &self.architecture.norms {
            Norms::After => apply(norm, (block(input)? + input)?),
            Norms::Before { .. } | Norms::Around { .. } => {
                let made = block(&apply(norm, input.clone())?)?;
                apply(output_norm, made)? + input
            }
        }
    }

    fn attend(
        &self,
        layer: &Layer,
        states: &Tensor,
        biases: &Biases,
        pass: &Pass<'_>,
    ) -> candle_core::Result<Tensor> {
        let Architecture {
            heads,
            key_heads,
            score_scale,
            ..
        } = self.architecture;
        let [query, keys, values] = &layer.qkv;
        let (mut query, mut keys) = (
            self.heads(query, heads, states, pass)?,
            self.heads(keys, key_heads, states, pass)?,
        );
        if let Some([query_norm, key_norm]) = &layer.query_key_norms {
            (query, keys) = (pass.norm(query_norm, &query)?, pass.norm(key_norm, &keys)?);
        }
        let longest = states.dim(1)?;
        if let Some((cosines, sines)) = &layer.rotary {
            let (cosines, sines) = (cosines.narrow(0, 0, longest)?, sines.narrow(0, 0, longest)?);
            query = pass.turn(&query, &cosines, &sines)?;
            keys = pass.turn(&keys, &cosines, &sines)?;
        }
        let group = heads / key_heads;
        let values = for_each_query(self.heads(values, key_heads, states, pass)?, group)?;
        let keys = for_each_query(keys, group)?.t()?;
        let scores = query.matmul(&keys)?;
        let weights = pass.attention_weights(&scores, score_scale, &biases[&layer.window])?;
        let context = weights.matmul(&values)?;
        let context = context.transpose(1, 2)?.contiguous()?.flatten_from(2)?;
        pass.linear(&layer.attention_output, &context)
    }

    fn feed_forward(
        &self,
        layer: &Layer,
        states: &Tensor,
        pass: &Pass<'_>,
    ) -> candle_core::Result<Tensor> {
        let values = pass.linear(&layer.up, states)?;
        let values = match self.architecture.activation {
            Activation::Gelu => pass.gelu(&values),
            Activation::GeluTanh => values.gelu(),
            Activation::Relu => values.relu(),
            Activation::Silu => values.silu(),
        }?;
        match &layer.gates {
            Some(gates) => {
                let gated = (values * pass.linear(gates, states)?)?;
                pass.linear(&layer.down, &gated)
            }
            None => pass.linear(&layer.down, &values),
        }
    }

    /// What is added to scores that do not count. Their share is 0, and two of these are still finite: the share of
    /// a row of which nothing counts, as padding far from a text, must be a number.
    fn lowest(&self) -> f32 {
        match self.values {
            DType::F16 => -3e4,
            _ => -1e38,
        }
    }

    /// A bias of scores, as they are computed.
    fn bias(&self, values: Vec<f32>, shape: [usize; 4]) -> candle_core::Result<Tensor> {
        Tensor::from_vec(values, &shape, &self.device)?.to_dtype(self.values)
    }

    /// What is added to the scores of a query and a key that are outside of each other's sight.
    fn outside(
        &self,
        longest: usize,
        outside: impl Fn(usize, usize) -> bool,
    ) -> candle_core::Result<Tensor> {
        let mask = (0..longest * longest).map(|at| match outside(at / longest, at % longest) {
            true => self.lowest(),
            false => 0.0,
        });
        self.bias(mask.collect(), [1, 1, longest, longest])
    }

    /// What a linear layer makes of states, `[texts, heads, longest, head]`.
    fn heads(
        &self,
        linear: &LinearLayer,
        heads: usize,
        states: &Tensor,
        pass: &Pass<'_>,
    ) -> candle_core::Result<Tensor> {
        let (texts, longest, _) = states.dims3()?;
        let shape = (texts, longest, heads, ());
        let heads = pass.linear(linear, states)?.reshape(shape)?;
        heads.transpose(1, 2)?.contiguous()
    }

    /// Nothing for tokens and the lowest for padding, then what depends on distances.
    fn biases(&self, batch: &PackedBatch) -> candle_core::Result<Biases> {
        let (texts, longest) = (batch.texts(), batch.longest());
        let mut mask = vec![self.lowest(); texts * longest];
        for (row, range) in mask.chunks_exact_mut(longest).zip(batch.ranges()) {
            row[..range.len()].fill(0.0);
        }
        let mut everywhere = vec![self.bias(mask, [texts, 1, 1, longest])?];
        if self.architecture.causal {
            everywhere.push(self.outside(longest, |query, key| key > query)?);
        }
        if let Some(bias) = &self.weights.relative_bias {
            let heads = self.architecture.heads;
            let row = |at| bias.row(at / longest, at % longest, longest).to_vec();
            let rows = (0..heads * longest).flat_map(row).collect();
            everywhere.push(self.bias(rows, [1, heads, longest, longest])?);
        }
        let mut biases = BTreeMap::from([(None, everywhere.clone())]);
        for window in self.weights.layers.iter().filter_map(|layer| layer.window) {
            if let Entry::Vacant(entry) = biases.entry(Some(window)) {
                let far = |query: usize, key: usize| query.abs_diff(key) > window;
                let outside = self.outside(longest, far)?;
                entry.insert(everywhere.iter().cloned().chain([outside]).collect());
            }
        }
        Ok(biases)
    }

    /// A `[texts, longest]` tensor, short rows filled with zeros.
    fn padded(&self, batch: &PackedBatch, values: &[u32]) -> candle_core::Result<Tensor> {
        let (texts, longest) = (batch.texts(), batch.longest());
        let mut padded = vec![0; texts * longest];
        for (row, range) in padded.chunks_exact_mut(longest).zip(batch.ranges()) {
            row[..range.len()].copy_from_slice(&values[range]);
        }
        Tensor::from_vec(padded, (texts, longest), &self.device)
    }
}

/// Keys or values, `[texts, heads, longest, head]`, of each head as often as queries share them.
fn for_each_query(heads: Tensor, queries: usize) -> candle_core::Result<Tensor> {
    if queries == 1 {
        return Ok(heads);
    }
    let (texts, count, longest, head) = heads.dims4()?;
    let repeated = vec![&heads; queries];
    Tensor::cat(&repeated, 2)?.reshape((texts, count * queries, longest, head))
}

impl Backbone for CandleBackbone {
    fn forward(&self, batch: &mut PackedBatch) -> Result<TokenStates, Error> {
        let states = self.tensor(batch, &Pass::Inference)?;
        let states = states.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
        let width = states.dim(D::Minus1)?;
        let mut values = Vec::with_capacity(batch.ids().len() * width);
        for (text, range) in batch.ranges().enumerate() {
            let rows = states.i((text, ..range.len(), ..))?;
            values.extend(rows.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(TokenStates { values, width })
    }

    fn path(&self) -> String {
        format!("candle {}", self.values.as_str())
    }

    fn brings_threads(&self) -> bool {
        false
    }
}
