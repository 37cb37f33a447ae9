//! The Dense module: one linear layer and an activation, over pooled vectors.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::Error;
use crate::model_folder::{read, read_json};

/// `config.json` of a Dense module.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DenseSettings {
    in_features: usize,
    pub(crate) out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
    activation_function: Option<String>,
    #[serde(default)]
    use_residual: bool,
    module_input_name: Option<String>,
    module_output_name: Option<String>,
}

fn yes() -> bool {
    true
}

/// The one place where a pooled vector is called by name.
const SENTENCE_EMBEDDING: &str = "sentence_embedding";

impl DenseSettings {
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let settings: Self = read_json(&folder.join("config.json"))?;
        if settings.use_residual {
            return Err(unsupported("use_residual", "true"));
        }
        for name in [&settings.module_input_name, &settings.module_output_name] {
            if let Some(name) = name
                && name != SENTENCE_EMBEDDING
            {
                return Err(unsupported("module_input_name or module_output_name", name));
            }
        }
        Activation::from_path(settings.activation_function.as_deref())?;
        Ok(settings)
    }
}

fn unsupported(key: &'static str, value: &str) -> Error {
    Error::UnsupportedSetting {
        key,
        value: value.to_owned(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    Identity,
    Tanh,
    Relu,
    Sigmoid,
}

impl Activation {
    /// From a Python path such as `torch.nn.modules.activation.Tanh`; absent is Tanh, as in
    /// sentence-transformers.
    fn from_path(path: Option<&str>) -> Result<Self, Error> {
        let path = path.unwrap_or("Tanh");
        match path.rsplit('.').next().unwrap_or_default() {
            "Identity" => Ok(Self::Identity),
            "Tanh" => Ok(Self::Tanh),
            "ReLU" => Ok(Self::Relu),
            "Sigmoid" => Ok(Self::Sigmoid),
            _ => Err(unsupported("activation_function", path)),
        }
    }

    fn apply(self, value: f32) -> f32 {
        match self {
            Self::Identity => value,
            Self::Tanh => value.tanh(),
            Self::Relu => value.max(0.0),
            Self::Sigmoid => 1.0 / (1.0 + (-value).exp()),
        }
    }
}

/// A linear layer, `out = activation(weight * in + bias)`.
#[derive(Debug)]
pub(crate) struct Dense {
    in_features: usize,
    out_features: usize,
    /// Row-major, `[out_features, in_features]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
}

impl Dense {
    /// Reads the weights beside a module's settings.
    pub(crate) fn open(
        folder: &Path,
        settings: &DenseSettings,
        in_features: usize,
    ) -> Result<Self, Error> {
        let path = folder.join("model.safetensors");
        if settings.in_features != in_features {
            let reason = format!(
                "it takes {} values, {in_features} come",
                settings.in_features
            );
            return Err(Error::damaged(folder.join("config.json"), reason));
        }
        let bytes = read(&path)?;
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|error| Error::damaged(&path, error))?;
        let out_features = settings.out_features;
        let weight = tensor(
            &path,
            &tensors,
            "linear.weight",
            &[out_features, in_features],
        )?;
        let bias = if settings.bias {
            tensor(&path, &tensors, "linear.bias", &[out_features])?
        } else {
            vec![0.0; out_features]
        };
        let activation = Activation::from_path(settings.activation_function.as_deref())?;
        Ok(Self {
            in_features,
            out_features,
            weight,
            bias,
            activation,
        })
    }

    pub(crate) fn out_features(&self) -> usize {
        self.out_features
    }

    pub(crate) fn forward(&self, input: &[f32]) -> Vec<f32> {
        let rows = self.weight.chunks_exact(self.in_features).zip(&self.bias);
        let value = |(row, bias): (&[f32], &f32)| {
            let product: f32 = row
                .iter()
                .zip(input)
                .map(|(weight, value)| weight * value)
                .sum();
            self.activation.apply(product + bias)
        };
        rows.map(value).collect()
    }
}

fn tensor(
    path: &Path,
    tensors: &SafeTensors<'_>,
    name: &str,
    shape: &[usize],
) -> Result<Vec<f32>, Error> {
    let view = tensors
        .tensor(name)
        .map_err(|error| Error::damaged(path, error))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        let reason = format!(
            "{name} is {:?} {:?}, not F32 {shape:?}",
            view.dtype(),
            view.shape()
        );
        return Err(Error::damaged(path, reason));
    }
    let values = view.data().chunks_exact(4);
    Ok(values
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect())
}
