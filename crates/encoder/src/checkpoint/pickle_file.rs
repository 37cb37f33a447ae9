//! A file of `torch.save`, through candle's reader, which runs none of the code that pickles may
//! hold.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use candle_core::pickle::PthTensors;
use candle_core::{DType, Tensor};

use super::Tensors;
use crate::Error;
use crate::files::open;

/// An open file, its list of tensors read.
pub(super) struct PickleFile {
    path: PathBuf,
    tensors: PthTensors,
}

impl std::fmt::Debug for PickleFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = &self.path;
        formatter
            .debug_struct("PickleFile")
            .field("path", path)
            .finish_non_exhaustive()
    }
}

impl PickleFile {
    /// Opens a file and reads its list of tensors.
    ///
    /// # Errors
    /// When it is missing, damaged, or of a kind that only older versions of PyTorch wrote.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        // Only to tell a missing file from a damaged one.
        open(path)?;
        // The reader indexes what it expects in a pickle without looking whether it is there.
        let tensors = catch_unwind(|| PthTensors::new(path, None))
            .map_err(|_| Error::damaged(path, "its pickle is none of a model"))?
            .map_err(|error| Error::damaged(path, reason(&error)))?;
        if tensors.tensor_infos().is_empty() {
            return Err(Error::damaged(path, "it holds no tensor by its name"));
        }
        Ok(Self {
            path: path.to_owned(),
            tensors,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        let damaged = |reason: String| Error::damaged(&self.path, format!("{name}: {reason}"));
        let info = self.tensors.tensor_infos().get(name);
        if info.is_some_and(|info| info.layout.start_offset() > 0) {
            // candle's reader takes the offset for bytes, and would return other values.
            return Err(damaged(
                "it is a part of another tensor; save the model again".to_owned(),
            ));
        }
        let tensor = self
            .tensors
            .get(name)
            .map_err(|error| damaged(reason(&error)))?;
        tensor.ok_or_else(|| damaged("it is not there".to_owned()))
    }

    fn converted<T: candle_core::WithDType>(
        &self,
        name: &str,
        dtype: DType,
    ) -> Result<Vec<T>, Error> {
        let tensor = self.tensor(name)?;
        let values = tensor
            .to_dtype(dtype)
            .and_then(|tensor| tensor.flatten_all()?.to_vec1());
        values.map_err(|error| Error::damaged(&self.path, format!("{name}: {}", reason(&error))))
    }
}

/// The first line of an error: candle may add where it was made.
fn reason(error: &candle_core::Error) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

impl Tensors for PickleFile {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let info = self.tensors.tensor_infos().get(name)?;
        Some(info.layout.dims().to_vec())
    }

    fn values(&mut self, name: &str) -> Result<Vec<f32>, Error> {
        self.converted(name, DType::F32)
    }

    fn integers(&mut self, name: &str) -> Result<Vec<i64>, Error> {
        self.converted(name, DType::I64)
    }
}
