//! A safetensors file, read tensor by tensor: never is more of it in memory than one tensor.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err::File;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::Error;
use crate::files::open;

/// Bytes of the number before the header.
const LENGTH_BYTES: u64 = 8;
/// A header longer than this is no header of a model.
const MAX_HEADER_BYTES: u64 = 100 << 20;

/// An open file, its header read and checked against its length.
#[derive(Debug)]
pub(crate) struct TensorFile {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    data_start: u64,
}

impl TensorFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// When it is missing, cut short, or no safetensors file.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
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
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }

    /// The values of a tensor, row-major, as f32.
    ///
    /// # Errors
    /// When it is missing or has another shape or type.
    pub(crate) fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let info = self
            .metadata
            .info(name)
            .ok_or_else(|| self.damaged(format!("it has no tensor {name}")))?;
        if info.shape != shape {
            let reason = format!("{name} has the shape {:?}, not {shape:?}", info.shape);
            return Err(self.damaged(reason));
        }
        let (dtype, bytes) = (info.dtype, bytes(self.data_start, info));
        self.file.seek(SeekFrom::Start(bytes.start))?;
        let length = (bytes.end - bytes.start) as usize;
        match dtype {
            Dtype::F32 => self.convert::<4>(length, f32::from_le_bytes),
            Dtype::F16 => self.convert::<2>(length, |b| half::f16::from_le_bytes(b).to_f32()),
            Dtype::BF16 => self.convert::<2>(length, |b| half::bf16::from_le_bytes(b).to_f32()),
            other => Err(self.damaged(format!(
                "{name} has the type {other:?}, which is not supported"
            ))),
        }
    }

    /// What a layer norm multiplies by and what it adds; models from TensorFlow call them gamma and
    /// beta. Without a bias the latter is zeros.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn read_norm(
        &mut self,
        name: &str,
        width: usize,
        has_bias: bool,
    ) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let (gain, shift) = match self.has(&format!("{name}.gamma")) {
            true => ("gamma", "beta"),
            false => ("weight", "bias"),
        };
        let gain = self.read(&format!("{name}.{gain}"), &[width])?;
        let shift = match has_bias {
            true => self.read(&format!("{name}.{shift}"), &[width])?,
            false => vec![0.0; width],
        };
        Ok((gain, shift))
    }

    /// Reads `length` bytes from here, piece by piece.
    fn convert<const SIZE: usize>(
        &mut self,
        length: usize,
        number: impl Fn([u8; SIZE]) -> f32,
    ) -> Result<Vec<f32>, Error> {
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

fn bytes(data_start: u64, info: &TensorInfo) -> std::ops::Range<u64> {
    let (start, end) = info.data_offsets;
    data_start + start as u64..data_start + end as u64
}
