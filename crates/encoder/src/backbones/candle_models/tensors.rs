//! Where candle-transformers gets weights from: the same checked file as all other backbones.

use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Error as CandleError, Result, Shape, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;

use crate::Error;
use crate::checkpoint::Checkpoint;

/// A file whose tensors' names begin with a prefix.
#[derive(Debug)]
pub(super) struct Tensors {
    pub(super) file: Mutex<Checkpoint>,
    pub(super) prefix: String,
}

impl SimpleBackend for Tensors {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let name = format!("{}{name}", self.prefix);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let values = file.read(&name, shape.dims()).map_err(reason)?;
        Tensor::from_vec(values, shape, device)?.to_dtype(dtype)
    }

    /// Nothing is read whose shape the configuration does not say.
    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("the shape of {name} is not known")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.has(&format!("{}{name}", self.prefix))
    }
}

/// What is wrong with a file, without its path.
fn reason(error: Error) -> CandleError {
    match error {
        Error::Damaged { source, .. } => CandleError::Wrapped(Box::new(source)),
        other => CandleError::Wrapped(Box::new(other)),
    }
}
