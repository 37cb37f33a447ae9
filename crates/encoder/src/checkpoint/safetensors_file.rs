//! A safetensors file, read tensor by tensor: never is more of it in memory than one tensor.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err::File;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::Tensors;
use crate::Error;
use crate::files::open;

/// Bytes of the number before the header.
const LENGTH_BYTES: u64 = 8;
/// A header longer than this is no header of a model.
const MAX_HEADER_BYTES: u64 = 100 << 20;

/// An open file, its header read and checked against its length.
#[derive(Debug)]
pub(super) struct SafetensorsFile {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    data_start: u64,
}

impl SafetensorsFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// When it is missing, cut short, or no safetensors file.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let mut file = open(path)?;
        let length = file.metadata()?.len();
        let mut number = [0; LENGTH_BYTES as usize];
        file.read_exact(&mut number)
            .map_err(|error| Error::damaged(path, error))?;
        let header_bytes = u64::from_le_bytes(number);
        if header_bytes > MAX_HEADER_BYTES.min(length - LENGTH_BYTES) {
            return Err(Error::damaged(
                path,
                "its header does not fit into the file",
            ));
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact(&mut header)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| Error::damaged(path, error))?;
        let data_start = LENGTH_BYTES + header_bytes;
        let expected = data_start + metadata.data_len() as u64;
        if expected != length {
            let reason = format!("it has {length} bytes, its header says {expected}");
            return Err(Error::damaged(path, reason));
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            metadata,
            data_start,
        })
    }

    /// The file's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Finds the values of a tensor; returns their type and their length in bytes.
    fn seek(&mut self, name: &str) -> Result<(Dtype, usize), Error> {
        let info = self
            .metadata
            .info(name)
            .ok_or_else(|| self.damaged(format!("it has no tensor {name}")))?;
        let (dtype, bytes) = (info.dtype, bytes(self.data_start, info));
        self.file.seek(SeekFrom::Start(bytes.start))?;
        Ok((dtype, (bytes.end - bytes.start) as usize))
    }

    fn unsupported(&self, name: &str, dtype: Dtype) -> Error {
        self.damaged(format!(
            "{name} has the type {dtype:?}, which is not supported"
        ))
    }

    /// Reads `length` bytes from here, piece by piece.
    fn convert<const SIZE: usize, T>(
        &mut self,
        length: usize,
        number: impl Fn([u8; SIZE]) -> T,
    ) -> Result<Vec<T>, Error> {
        const PIECE_BYTES: usize = 1 << 18;
        let mut values = Vec::with_capacity(length / SIZE);
        let mut piece = vec![0; PIECE_BYTES.min(length)];
        let mut left = length;
        while left > 0 {
            let bytes = &mut piece[..PIECE_BYTES.min(left)];
            self.file.read_exact(bytes)?;
            values.extend(
                bytes
                    .as_chunks::<SIZE>()
                    .0
                    .iter()
                    .map(|bytes| number(*bytes)),
            );
            left -= bytes.len();
        }
        Ok(values)
    }

    fn damaged(&self, reason: String) -> Error {
        Error::damaged(&self.path, reason)
    }
}

impl Tensors for SafetensorsFile {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        Some(self.metadata.info(name)?.shape.clone())
    }

    fn values(&mut self, name: &str) -> Result<Vec<f32>, Error> {
        match self.seek(name)? {
            (Dtype::F32, length) => self.convert(length, f32::from_le_bytes),
            (Dtype::F16, length) => {
                self.convert(length, |bytes| half::f16::from_le_bytes(bytes).to_f32())
            }
            (Dtype::BF16, length) => {
                self.convert(length, |bytes| half::bf16::from_le_bytes(bytes).to_f32())
            }
            (Dtype::F64, length) => self.convert(length, |bytes| f64::from_le_bytes(bytes) as f32),
            (Dtype::I8, length) => {
                self.convert(length, |bytes| f32::from(i8::from_le_bytes(bytes)))
            }
            (other, _) => Err(self.unsupported(name, other)),
        }
    }

    fn integers(&mut self, name: &str) -> Result<Vec<i64>, Error> {
        match self.seek(name)? {
            (Dtype::I64, length) => self.convert(length, i64::from_le_bytes),
            (Dtype::I32, length) => {
                self.convert(length, |bytes| i64::from(i32::from_le_bytes(bytes)))
            }
            (other, _) => Err(self.unsupported(name, other)),
        }
    }
}

fn bytes(data_start: u64, info: &TensorInfo) -> std::ops::Range<u64> {
    let (start, end) = info.data_offsets;
    data_start + start as u64..data_start + end as u64
}
