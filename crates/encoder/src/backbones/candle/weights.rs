//! Weights, read from the file onto a device.

use candle_core::{DType, Device, Tensor};
use candle_nn::{Embedding, LayerNorm, Module, RmsNorm};

use super::linear::LinearLayer;

use crate::Error;
use crate::backbones::architecture::{self, Architecture, Qkv, Rotation, Table, Up};
use crate::backbones::relative_bias::RelativeBias;
use crate::backbones::rotary::Rotary;
use crate::checkpoint::Checkpoint;
use crate::training::Learned;

/// All weights of a transformer.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) words: Embedding,
    pub(super) positions: Option<Embedding>,
    pub(super) segments: Option<Embedding>,
    pub(super) norm: Option<Norm>,
    pub(super) projection: Option<LinearLayer>,
    pub(super) relative_bias: Option<RelativeBias>,
    pub(super) layers: Vec<Layer>,
    /// Over the last states, where blocks do not normalise what they make.
    pub(super) last_norm: Option<Norm>,
}

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) qkv: [LinearLayer; 3],
    /// Over each query and each key.
    pub(super) query_key_norms: Option<[Norm; 2]>,
    pub(super) attention_output: LinearLayer,
    pub(super) attention_norm: Option<Norm>,
    pub(super) attention_output_norm: Option<Norm>,
    pub(super) up: LinearLayer,
    /// What its outputs are multiplied by, where there are gates.
    pub(super) gates: Option<LinearLayer>,
    pub(super) down: LinearLayer,
    pub(super) feed_forward_norm: Norm,
    pub(super) feed_forward_output_norm: Option<Norm>,
    pub(super) window: Option<usize>,
    /// Cosines and sines, `[positions, half]` each.
    pub(super) rotary: Option<(Tensor, Tensor)>,
}

/// A norm of either kind.
#[derive(Debug)]
pub(super) enum Norm {
    Layer(LayerNorm),
    Rms(RmsNorm),
}

impl Module for Norm {
    fn forward(&self, states: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Layer(norm) => norm.forward(states),
            Self::Rms(norm) => norm.forward(&states.contiguous()?),
        }
    }
}

impl Weights {
    /// # Errors
    /// When the file is damaged, its tensors are not those of the architecture, or the device has
    /// no room.
    pub(super) fn read(
        file: Checkpoint,
        architecture: &Architecture,
        (device, values): (&Device, DType),
        learned: Option<&mut Learned>,
    ) -> Result<Self, Error> {
        let mut reader = Reader {
            file,
            device,
            values,
            architecture,
            learned,
        };
        let tables = &architecture.embeddings;
        let (hidden, width) = (architecture.hidden, architecture.embedding());
        let words = reader.words()?;
        let mut table = |table: &Table| reader.table(table);
        let positions = tables.positions.as_ref().map(&mut table).transpose()?;
        let segments = tables.segments.as_ref().map(&mut table).transpose()?;
        let projection = tables.projection.as_ref();
        let projection = projection.map(|it| reader.linear(&it.name, width, hidden, true));
        let projection = projection.transpose()?;
        let layers = architecture.layers.iter();
        let layers = layers.map(|names| reader.layer(names));
        let layers = layers.collect::<Result<_, _>>()?;
        let last_norm = architecture.norms.last();
        let last_norm = last_norm
            .map(|name| reader.norm(name, hidden))
            .transpose()?;
        let norm = tables.norm.as_ref();
        Ok(Self {
            words,
            positions,
            segments,
            norm: norm.map(|name| reader.norm(name, width)).transpose()?,
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
    values: DType,
    architecture: &'a Architecture,
    /// Where tensors are to be put that may be learned.
    learned: Option<&'a mut Learned>,
}

impl Reader<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let values = self.file.read(name, shape)?;
        self.place(name, values, shape)
    }

    /// Values of a tensor of the file, on the device.
    fn place(&mut self, name: &str, values: Vec<f32>, shape: &[usize]) -> Result<Tensor, Error> {
        let tensor = Tensor::from_vec(values, shape, self.device)?.to_dtype(self.values)?;
        match &mut self.learned {
            Some(learned) => Ok(learned.weight(name, tensor)?),
            None => Ok(tensor),
        }
    }

    fn words(&mut self) -> Result<Embedding, Error> {
        let (rows, width) = (
            self.architecture.embeddings.words.rows,
            self.architecture.embedding(),
        );
        let words = self.architecture.read_words(&mut self.file)?;
        let name = &self.architecture.embeddings.words.name;
        let words = self.place(name, words, &[rows, width])?;
        Ok(Embedding::new(words, width))
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
    ) -> Result<LinearLayer, Error> {
        let of_weights = format!("{name}.weight");
        let weights = self.tensor(&of_weights, &[outputs, inputs])?;
        let biases = match has_bias {
            true => Some(self.tensor(&format!("{name}.bias"), &[outputs])?),
            false => None,
        };
        let adapter = match &mut self.learned {
            Some(learned) => learned.adapter(&of_weights, &weights)?,
            None => None,
        };
        Ok(LinearLayer::new(weights, biases, adapter))
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm, Error> {
        let (gain, shift) = (self.architecture).read_norm(&mut self.file, name, width)?;
        let [gain_name, shift_name] = self.file.norm_names(name);
        let gain = self.place(&gain_name, gain, &[width])?;
        let epsilon = f64::from(self.architecture.epsilon);
        Ok(match self.architecture.norm {
            architecture::Norm::Layer => {
                let shift = match self.architecture.has_bias.norms {
                    true => self.place(&shift_name, shift, &[width])?,
                    false => gain.zeros_like()?,
                };
                Norm::Layer(LayerNorm::new(gain, shift, epsilon))
            }
            architecture::Norm::Rms | architecture::Norm::RmsMoreThanOnce => {
                Norm::Rms(RmsNorm::new(gain, epsilon))
            }
        })
    }

    /// A norm over states, where there is one.
    fn state_norm(&mut self, name: Option<&str>) -> Result<Option<Norm>, Error> {
        let hidden = self.architecture.hidden;
        name.map(|name| self.norm(name, hidden)).transpose()
    }

    fn qkv(&mut self, names: &Qkv) -> Result<[LinearLayer; 3], Error> {
        let Architecture {
            hidden, has_bias, ..
        } = *self.architecture;
        let (queries, keys) = (self.architecture.queries(), self.architecture.keys());
        match names {
            Qkv::Apart([query, key, value]) => Ok([
                self.linear(query, hidden, queries, has_bias.attention)?,
                self.linear(key, hidden, keys, has_bias.attention)?,
                self.linear(value, hidden, keys, has_bias.attention)?,
            ]),
            Qkv::Joined(name) => {
                let joined = self.linear(name, hidden, queries + 2 * keys, has_bias.attention)?;
                Ok([
                    joined.rows(0, queries)?,
                    joined.rows(queries, keys)?,
                    joined.rows(queries + keys, keys)?,
                ])
            }
        }
    }

    /// The first linear layer of a feed-forward block, and its gates where there are some.
    fn up(&mut self, names: &Up) -> Result<(LinearLayer, Option<LinearLayer>), Error> {
        let Architecture {
            hidden,
            intermediate,
            gated,
            has_bias,
            ..
        } = *self.architecture;
        match names {
            Up::Whole(name) if !gated => {
                Ok((self.linear(name, hidden, intermediate, has_bias.up)?, None))
            }
            Up::Whole(name) | Up::GatesFirst(name) => {
                let joined = self.linear(name, hidden, 2 * intermediate, has_bias.up)?;
                let (up, gates) = match names {
                    Up::GatesFirst(_) => (intermediate, 0),
                    _ => (0, intermediate),
                };
                let gates = joined.rows(gates, intermediate)?;
                Ok((joined.rows(up, intermediate)?, Some(gates)))
            }
            Up::Apart { activated, gates } => {
                let up = self.linear(activated, hidden, intermediate, has_bias.up)?;
                let gates = self.linear(gates, hidden, intermediate, has_bias.up)?;
                Ok((up, Some(gates)))
            }
        }
    }

    fn rotary(&self, rotation: Rotation) -> Result<(Tensor, Tensor), Error> {
        let Architecture { positions, .. } = *self.architecture;
        let rotary = Rotary::new(rotation, self.architecture.head, positions);
        let tensor = |angles| -> Result<Tensor, Error> {
            let angles = Tensor::from_vec(angles, (positions, rotary.half), self.device)?;
            Ok(angles.to_dtype(self.values)?)
        };
        Ok((tensor(rotary.cosines)?, tensor(rotary.sines)?))
    }

    fn layer(&mut self, names: &architecture::Layer) -> Result<Layer, Error> {
        let Architecture {
            hidden,
            head,
            intermediate,
            has_bias,
            ..
        } = *self.architecture;
        let (output, queries) = (&names.attention_output, self.architecture.queries());
        let (up, gates) = self.up(&names.up)?;
        let norms = match &names.query_key_norms {
            Some([query, key]) => Some([self.norm(query, head)?, self.norm(key, head)?]),
            None => None,
        };
        let rotation = names.rotation.map(|rotation| self.rotary(rotation));
        Ok(Layer {
            qkv: self.qkv(&names.qkv)?,
            query_key_norms: norms,
            attention_output: self.linear(output, queries, hidden, has_bias.attention)?,
            attention_norm: self.state_norm(names.attention_norm.as_deref())?,
            attention_output_norm: self.state_norm(names.attention_output_norm.as_deref())?,
            up,
            gates,
            down: self.linear(&names.down, intermediate, hidden, has_bias.down)?,
            feed_forward_norm: self.norm(&names.feed_forward_norm, hidden)?,
            feed_forward_output_norm: self.state_norm(names.feed_forward_output_norm.as_deref())?,
            window: names.window,
            rotary: rotation.transpose()?,
        })
    }
}
