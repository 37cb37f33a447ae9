//! A transformer through candle's tensors: any device, padded batches.
//!
//! The generic path, and what faster ones are compared with.

use candle_core::{D, Device, IndexOp, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_nn::{Embedding, LayerNorm, Linear, Module};

use super::architecture::{self, Architecture, Table};
use super::relative_bias::RelativeBias;
use super::{Backbone, PackedBatch, TokenStates};
use crate::Error;
use crate::tensor_file::TensorFile;
use siamese_kernels::Activation;

/// A transformer on a device.
#[derive(Debug)]
pub(crate) struct CandleBackbone {
    architecture: Architecture,
    device: Device,
    words: Embedding,
    positions: Embedding,
    segments: Option<Embedding>,
    norm: LayerNorm,
    projection: Option<Linear>,
    relative_bias: Option<RelativeBias>,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    output_norm: LayerNorm,
}

/// Reads weights of one file onto a device.
struct Reader<'a> {
    file: TensorFile,
    device: &'a Device,
    epsilon: f64,
}

impl Reader<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let values = self.file.read(name, shape)?;
        Ok(Tensor::from_vec(values, shape, self.device)?)
    }

    fn table(&mut self, table: &Table, width: usize) -> Result<Embedding, Error> {
        let rows = self.tensor(&table.name, &[table.rows, width])?;
        Ok(Embedding::new(rows, width))
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Linear, Error> {
        let weights = self.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        let biases = self.tensor(&format!("{name}.bias"), &[outputs])?;
        Ok(Linear::new(weights, Some(biases)))
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<LayerNorm, Error> {
        let (gain, shift) = self.file.read_norm(name, width)?;
        let vector = |values: Vec<f32>| Tensor::from_vec(values, width, self.device);
        Ok(LayerNorm::new(vector(gain)?, vector(shift)?, self.epsilon))
    }

    fn layer(
        &mut self,
        names: &architecture::Layer,
        hidden: usize,
        intermediate: usize,
    ) -> Result<Layer, Error> {
        Ok(Layer {
            query: self.linear(&names.query, hidden, hidden)?,
            key: self.linear(&names.key, hidden, hidden)?,
            value: self.linear(&names.value, hidden, hidden)?,
            attention_output: self.linear(&names.attention_output, hidden, hidden)?,
            attention_norm: self.norm(&names.attention_norm, hidden)?,
            up: self.linear(&names.up, hidden, intermediate)?,
            down: self.linear(&names.down, intermediate, hidden)?,
            output_norm: self.norm(&names.output_norm, hidden)?,
        })
    }
}

impl CandleBackbone {
    /// Reads the weights onto a device.
    ///
    /// # Errors
    /// A damaged file, or a device without room.
    pub(crate) fn open(
        architecture: Architecture,
        file: TensorFile,
        device: &Device,
    ) -> Result<Self, Error> {
        let mut reader = Reader {
            file,
            device,
            epsilon: f64::from(architecture.epsilon),
        };
        let embeddings = &architecture.embeddings;
        let (hidden, width) = (architecture.hidden, architecture.embedding());
        let mut layer = |names| reader.layer(names, hidden, architecture.intermediate);
        let layers = architecture.layers.iter();
        Ok(Self {
            layers: layers.map(&mut layer).collect::<Result<_, _>>()?,
            words: reader.table(&embeddings.words, width)?,
            positions: reader.table(&embeddings.positions, width)?,
            segments: match &embeddings.segments {
                Some(segments) => Some(reader.table(segments, width)?),
                None => None,
            },
            norm: reader.norm(&embeddings.norm, width)?,
            projection: match &embeddings.projection {
                Some(projection) => Some(reader.linear(&projection.name, width, hidden)?),
                None => None,
            },
            relative_bias: RelativeBias::read(&mut reader.file, &architecture)?,
            device: device.clone(),
            architecture,
        })
    }

    /// The states of a batch, `[texts, longest, hidden]`.
    fn states(&self, batch: &PackedBatch) -> candle_core::Result<Tensor> {
        let mut states = self.words.forward(&self.padded(batch, batch.ids())?)?;
        let positions = self.padded(batch, batch.positions())?;
        states = (states + self.positions.forward(&positions)?)?;
        if let Some(segments) = &self.segments {
            let type_ids = self.padded(batch, batch.type_ids())?;
            states = (states + segments.forward(&type_ids)?)?;
        }
        let mut states = self.norm.forward(&states)?;
        if let Some(projection) = &self.projection {
            states = projection.forward(&states)?;
        }
        let biases = self.biases(batch)?;
        for layer in &self.architecture.order {
            states = self.layer(&self.layers[*layer], &states, &biases)?;
        }
        Ok(states)
    }

    fn layer(
        &self,
        layer: &Layer,
        states: &Tensor,
        biases: &[Tensor],
    ) -> candle_core::Result<Tensor> {
        let query = (self.heads(&layer.query, states)? / (self.architecture.head() as f64).sqrt())?;
        let keys = self.heads(&layer.key, states)?.t()?;
        let add = |scores: Tensor, bias| scores.broadcast_add(bias);
        let scores = biases.iter().try_fold(query.matmul(&keys)?, add)?;
        let values = self.heads(&layer.value, states)?;
        let context = softmax_last_dim(&scores)?.matmul(&values)?;
        let context = context.transpose(1, 2)?.contiguous()?.flatten_from(2)?;
        let attended = (layer.attention_output.forward(&context)? + states)?;
        let attended = layer.attention_norm.forward(&attended)?;
        let between = layer.up.forward(&attended)?;
        let between = match self.architecture.activation {
            Activation::Gelu => between.gelu_erf(),
            Activation::GeluTanh => between.gelu(),
            Activation::Relu => between.relu(),
        }?;
        let output = (layer.down.forward(&between)? + attended)?;
        layer.output_norm.forward(&output)
    }

    /// What a linear layer makes of states, `[texts, heads, longest, head]`.
    fn heads(&self, linear: &Linear, states: &Tensor) -> candle_core::Result<Tensor> {
        let (texts, longest, _) = states.dims3()?;
        let shape = (texts, longest, self.architecture.heads, ());
        let heads = linear.forward(states)?.reshape(shape)?;
        heads.transpose(1, 2)?.contiguous()
    }

    /// What is added to scores: nothing for tokens and all that there is below for padding, then
    /// what depends on distances.
    fn biases(&self, batch: &PackedBatch) -> candle_core::Result<Vec<Tensor>> {
        let (texts, longest) = (batch.texts(), batch.longest());
        let mut mask = vec![f32::MIN; texts * longest];
        for (row, range) in mask.chunks_exact_mut(longest).zip(batch.ranges()) {
            row[..range.len()].fill(0.0);
        }
        let mask = Tensor::from_vec(mask, (texts, 1, 1, longest), &self.device)?;
        let Some(bias) = &self.relative_bias else {
            return Ok(vec![mask]);
        };
        let heads = self.architecture.heads;
        let rows = (0..heads * longest).flat_map(|row| {
            bias.row(row / longest, row % longest, longest)
                .iter()
                .copied()
        });
        let shape = (1, heads, longest, longest);
        Ok(vec![
            mask,
            Tensor::from_iter(rows, &self.device)?.reshape(shape)?,
        ])
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

impl Backbone for CandleBackbone {
    fn forward(&self, batch: &mut PackedBatch) -> Result<TokenStates, Error> {
        self.architecture.embeddings.number(batch)?;
        let states = self.states(batch)?.to_device(&Device::Cpu)?;
        let width = states.dim(D::Minus1)?;
        let mut values = Vec::with_capacity(batch.ids().len() * width);
        for (text, range) in batch.ranges().enumerate() {
            let rows = states.i((text, ..range.len(), ..))?;
            values.extend(rows.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(TokenStates { values, width })
    }

    fn path(&self) -> String {
        "candle".to_owned()
    }

    fn brings_threads(&self) -> bool {
        false
    }
}
