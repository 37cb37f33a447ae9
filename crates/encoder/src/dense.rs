//! The Dense module: one linear layer and an activation, over pooled vectors, and optionally the
//! input added to the result.

use std::f32::consts::FRAC_1_SQRT_2;
use std::path::Path;

use serde::Deserialize;

use crate::Error;
use crate::checkpoint::Checkpoint;
use crate::files::read_json;

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
        for name in [&settings.module_input_name, &settings.module_output_name] {
            if let Some(name) = name
                && name != SENTENCE_EMBEDDING
            {
                return Err(unsupported("module_input_name or module_output_name", name));
            }
        }
        settings.activation()?;
        Ok(settings)
    }

    /// The activation; absent is Tanh, as in sentence-transformers.
    fn activation(&self) -> Result<Activation, Error> {
        let Some(path) = &self.activation_function else {
            return Ok(Activation::Tanh);
        };
        Activation::from_path(path).ok_or_else(|| unsupported("activation_function", path))
    }
}

fn unsupported(key: &'static str, value: &str) -> Error {
    Error::UnsupportedSetting {
        key,
        value: value.to_owned(),
    }
}

/// A function applied to each value of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    Identity,
    Tanh,
    Relu,
    Sigmoid,
    /// By the error function.
    Gelu,
    Silu,
}

impl Activation {
    /// From a Python path such as `torch.nn.modules.activation.Tanh`; `None` for an unknown one.
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        Some(match path.rsplit('.').next().unwrap_or_default() {
            "Identity" => Self::Identity,
            "Tanh" => Self::Tanh,
            "ReLU" => Self::Relu,
            "Sigmoid" => Self::Sigmoid,
            "GELU" => Self::Gelu,
            "SiLU" => Self::Silu,
            _ => return None,
        })
    }

    /// Its name in lower case.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Tanh => "tanh",
            Self::Relu => "relu",
            Self::Sigmoid => "sigmoid",
            Self::Gelu => "gelu",
            Self::Silu => "silu",
        }
    }

    /// The function's value.
    pub(crate) fn apply(self, value: f32) -> f32 {
        match self {
            Self::Identity => value,
            Self::Tanh => value.tanh(),
            Self::Relu => value.max(0.0),
            Self::Sigmoid => 1.0 / (1.0 + (-value).exp()),
            Self::Gelu => 0.5 * value * (1.0 + libm::erff(value * FRAC_1_SQRT_2)),
            Self::Silu => value / (1.0 + (-value).exp()),
        }
    }
}

/// A linear layer, `out = activation(weight * in + bias) + residual(in)`.
#[derive(Debug)]
pub(crate) struct Dense {
    in_features: usize,
    /// Row-major, `[out_features, in_features]`, as is the residual's.
    weight: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
    residual: Residual,
}

/// What is added to the result.
#[derive(Debug)]
enum Residual {
    Nothing,
    Input,
    Projected(Vec<f32>),
}

impl Dense {
    /// Reads the weights beside a module's settings.
    pub(crate) fn open(
        folder: &Path,
        settings: &DenseSettings,
        in_features: usize,
    ) -> Result<Self, Error> {
        if settings.in_features != in_features {
            let expected = settings.in_features;
            let reason = format!("it takes {expected} values, {in_features} come");
            return Err(Error::damaged(folder.join("config.json"), reason));
        }
        if in_features == 0 || settings.out_features == 0 {
            return Err(Error::damaged(
                folder.join("config.json"),
                "one of its sizes is 0",
            ));
        }
        let mut file = Checkpoint::open(folder)?;
        let shape = [settings.out_features, in_features];
        let bias = if settings.bias {
            file.read("linear.bias", &shape[..1])?
        } else {
            vec![0.0; settings.out_features]
        };
        let residual = match (settings.use_residual, in_features == settings.out_features) {
            (false, _) => Residual::Nothing,
            (true, true) => Residual::Input,
            (true, false) => Residual::Projected(file.read("residual.weight", &shape)?),
        };
        Ok(Self {
            in_features,
            weight: file.read("linear.weight", &shape)?,
            bias,
            activation: settings.activation()?,
            residual,
        })
    }

    /// Reads the linear layer `name` of shape `[out_features, in_features]` from a file.
    ///
    /// # Errors
    /// When it is missing or of another shape.
    pub(crate) fn read(
        file: &mut Checkpoint,
        name: &str,
        shape: [usize; 2],
        activation: Activation,
    ) -> Result<Self, Error> {
        Ok(Self {
            in_features: shape[1],
            weight: file.read(&format!("{name}.weight"), &shape)?,
            bias: file.read(&format!("{name}.bias"), &shape[..1])?,
            activation,
            residual: Residual::Nothing,
        })
    }

    pub(crate) fn out_features(&self) -> usize {
        self.bias.len()
    }

    pub(crate) fn forward(&self, input: &[f32]) -> Vec<f32> {
        let products = self.project(&self.weight, input).zip(&self.bias);
        let mut out: Vec<f32> = products
            .map(|(product, bias)| self.activation.apply(product + bias))
            .collect();
        match &self.residual {
            Residual::Nothing => {}
            Residual::Input => add(&mut out, input.iter().copied()),
            Residual::Projected(weight) => add(&mut out, self.project(weight, input)),
        }
        out
    }

    /// Whether the layer is a linear map and a constant, so that it maps a sum part by part.
    pub(crate) fn is_linear(&self) -> bool {
        self.activation == Activation::Identity
    }

    /// The activation.
    pub(crate) fn activation(&self) -> Activation {
        self.activation
    }

    /// The constant.
    pub(crate) fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// What a linear layer makes of a part of its input: everything but the constant.
    pub(crate) fn forward_part(&self, part: &[f32]) -> Vec<f32> {
        let mut out: Vec<f32> = self.project(&self.weight, part).collect();
        match &self.residual {
            Residual::Nothing => {}
            Residual::Input => add(&mut out, part.iter().copied()),
            Residual::Projected(weight) => add(&mut out, self.project(weight, part)),
        }
        out
    }

    fn project<'a>(&self, weight: &'a [f32], input: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        let product = move |row: &[f32]| row.iter().zip(input).map(|(w, value)| w * value).sum();
        weight.chunks_exact(self.in_features).map(product)
    }
}

fn add(out: &mut [f32], others: impl Iterator<Item = f32>) {
    out.iter_mut()
        .zip(others)
        .for_each(|(value, other)| *value += other);
}
