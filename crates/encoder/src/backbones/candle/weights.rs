//! Weights, read from the file onto a device.

use candle_core::{Device, Tensor};
use candle_nn::{Embedding, LayerNorm, Linear};

use crate::Error;
use crate::backbones::architecture::{self, Architecture, Norms, Qkv, Table};
use crate::backbones::relative_bias::RelativeBias;
use crate::backbones::rotary::Rotary;
use crate::checkpoint::Checkpoint;

/// All weights of a transformer.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) words: Embedding,
    pub(super) positions: Option<Embedding>,
    pub(super) segments: Option<Embedding>,
    pub(super) norm: LayerNorm,
    pub(super) projection: Option<Linear>,
    pub(super) relative_bias: Option<RelativeBias>,
    pub(super) layers: Vec<Layer>,
    /// Over the last states, where blocks do not normalise what they make.
    pub(super) last_norm: Option<LayerNorm>,
}

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) qkv: [Linear; 3],
    pub(super) attention_output: Linear,
    pub(super) attention_norm: Option<LayerNorm>,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) feed_forward_norm: LayerNorm,
    pub(super) window: Option<usize>,
    /// Cosines and sines, `[positions, half]` each.
    pub(super) rotary: Option<(Tensor, Tensor)>,
}

impl Weights {
    /// # Errors
    /// When the file is damaged, its tensors are not those of the architecture, or the device has
    /// no room.
    pub(super) fn read(
        file: Checkpoint,
        architecture: &Architecture,
        device: &Device,
    ) -> Result<Self, Error> {
        let mut reader = Reader {
            file,
            device,
            architecture,
        };
        let tables = &architecture.embeddings;
        let (hidden, width) = (architecture.hidden, architecture.embedding());
        let mut table = |table: &Table| reader.table(table);
        let words = table(&tables.words)?;
        let positions = tables.positions.as_ref().map(&mut table).transpose()?;
        let segments = tables.segments.as_ref().map(&mut table).transpose()?;
        let projection = tables.projection.as_ref();
        let projection = projection.map(|it| reader.linear(&it.name, width, hidden, true));
        let projection = projection.transpose()?;
        let layers = architecture.layers.iter();
        let layers = layers.map(|names| reader.layer(names));
        let layers = layers.collect::<Result<_, _>>()?;
        let last_norm = match &architecture.norms {
            Norms::After => None,
            Norms::Before { last } => Some(reader.norm(last, hidden)?),
        };
        Ok(Self {
            words,
            positions,
            segments,
            norm: reader.norm(&tables.norm, width)?,
            projection,
            relative_bias: RelativeBias::read(&mut reader.file, architecture)?,
            layers,
            last_norm,
        })
    }
}

/// Reads weights of one file onto a device.
struct Reader<'a> {
    file: Checkpoint,
    device: &'a Device,
    architecture: &'a Architecture,
}

impl Reader<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let values = self.file.read(name, shape)?;
        Ok(Tensor::from_vec(values, shape, self.device)?)
    }

    fn table(&mut self, table: &Table) -> Result<Embedding, Error> {
        let width = self.architecture.embedding();
        let rows = self.tensor(&table.name, &[table.rows, width])?;
        Ok(Embedding::new(rows, width))
    }

    fn linear(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        has_bias: bool,
    ) -> Result<Linear, Error> {
        let weights = self.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        let biases = match has_bias {
            true => Some(self.tensor(&format!("{name}.bias"), &[outputs])?),
            false => None,
        };
        Ok(Linear::new(weights, biases))
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<LayerNorm, Error> {
        let (gain, shift) = (self.file).read_norm(name, width, self.architecture.has_bias.norms)?;
        let vector = |values: Vec<f32>| Tensor::from_vec(values, width, self.device);
        let epsilon = f64::from(self.architecture.epsilon);
        Ok(LayerNorm::new(vector(gain)?, vector(shift)?, epsilon))
    }

    fn qkv(&mut self, names: &Qkv) -> Result<[Linear; 3], Error> {
        let (hidden, has_bias) = (
            self.architecture.hidden,
            self.architecture.has_bias.attention,
        );
        match names {
            Qkv::Apart([query, key, value]) => Ok([
                self.linear(query, hidden, hidden, has_bias)?,
                self.linear(key, hidden, hidden, has_bias)?,
                self.linear(value, hidden, hidden, has_bias)?,
            ]),
            Qkv::Joined(name) => {
                let joined = self.linear(name, hidden, 3 * hidden, has_bias)?;
                let part = |part: usize| {
                    let rows = |tensor: &Tensor| tensor.narrow(0, part * hidden, hidden);
                    let biases = joined.bias().map(rows).transpose()?;
                    Ok::<_, Error>(Linear::new(rows(joined.weight())?, biases))
                };
                Ok([part(0)?, part(1)?, part(2)?])
            }
        }
    }

    fn rotary(&self, base: f32) -> Result<(Tensor, Tensor), Error> {
        let Architecture { positions, .. } = *self.architecture;
        let rotary = Rotary::new(base, self.architecture.head(), positions);
        let tensor = |angles| Tensor::from_vec(angles, (positions, rotary.half), self.device);
        Ok((tensor(rotary.cosines)?, tensor(rotary.sines)?))
    }

    fn layer(&mut self, names: &architecture::Layer) -> Result<Layer, Error> {
        let Architecture {
            hidden,
            intermediate,
            gated,
            has_bias,
            ..
        } = *self.architecture;
        let attention_norm = names.attention_norm.as_ref();
        let attention_norm = attention_norm.map(|name| self.norm(name, hidden));
        let between = if gated {
            2 * intermediate
        } else {
            intermediate
        };
        Ok(Layer {
            qkv: self.qkv(&names.qkv)?,
            attention_output: self.linear(
                &names.attention_output,
                hidden,
                hidden,
                has_bias.attention,
            )?,
            attention_norm: attention_norm.transpose()?,
            up: self.linear(&names.up, hidden, between, has_bias.feed_forward)?,
            down: self.linear(&names.down, intermediate, hidden, has_bias.feed_forward)?,
            feed_forward_norm: self.norm(&names.feed_forward_norm, hidden)?,
            window: names.window,
            rotary: names
                .rotary_base
                .map(|base| self.rotary(base))
                .transpose()?,
        })
    }
}
