//! Writing a model folder.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bytemuck::cast_slice;
use candle_core::Tensor;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::Error;
use crate::files::read;

/// What the weights are written to.
const WEIGHTS: &str = "model.safetensors";

/// A tensor as it is written: its type, its shape and its bytes.
type Stored = (Dtype, Vec<usize>, Vec<u8>);

/// Weights in other files, which the one that is written takes the place of.
const OTHER_WEIGHTS: [&str; 4] = [
    ".safetensors",
    ".bin",
    ".safetensors.index.json",
    ".bin.index.json",
];

/// Copies the model `from`, with `weights` instead of those of its transformer that have their names, and puts it into the place `to`
/// when it is whole.
pub(super) fn save(
    from: &Path,
    transformer: &Path,
    weights: &[(String, Tensor)],
    to: &Path,
) -> Result<(), Error> {
    if to.exists() {
        let there = format!("{} is there already", to.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, there).into());
    }
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = to.with_file_name(name);
    if partial.exists() {
        fs_err::remove_dir_all(&partial)?;
    }
    let written = copy(from, &partial, transformer)
        .and_then(|()| {
            let folder = transformer.strip_prefix(from).unwrap_or(Path::new(""));
            write_weights(transformer, weights, &partial.join(folder).join(WEIGHTS))
        })
        .and_then(|()| Ok(fs_err::rename(&partial, to)?));
    if written.is_err() && partial.exists() {
        // The first error is the one that says what is wrong.
        let _ = fs_err::remove_dir_all(&partial);
    }
    written
}

/// Copies files and folders, but for weights of the transformer and what describes the model in words.
fn copy(from: &Path, to: &Path, transformer: &Path) -> Result<(), Error> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let is_hidden = name.starts_with('.');
        let is_weights = from == transformer && OTHER_WEIGHTS.iter().any(|end| name.ends_with(end));
        match path.is_dir() {
            _ if is_hidden || is_weights || name == "README.md" => {}
            true if name == "onnx" || name == "openvino" => {}
            true => copy(&path, &to.join(name), transformer)?,
            false => {
                fs_err::copy(&path, to.join(name))?;
            }
        }
    }
    Ok(())
}

fn write_weights(transformer: &Path, weights: &[(String, Tensor)], to: &Path) -> Result<(), Error> {
    let mut tensors = others(&transformer.join(WEIGHTS))?;
    for (name, values) in weights {
        let flat = values.flatten_all()?.to_vec1::<f32>()?;
        let bytes = cast_slice(&flat).to_vec();
        tensors.insert(name.clone(), (Dtype::F32, values.dims().to_vec(), bytes));
    }
    let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
        Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
    });
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    let metadata = [("format".to_owned(), "pt".to_owned())]
        .into_iter()
        .collect();
    views
        .and_then(|views| safetensors::serialize_to_file(views, Some(metadata), to))
        .map_err(|error| Error::Io(io::Error::other(error)))
}

/// What a file has beside what is learned, such as a pooler's weights, so that other readers of the folder miss
/// nothing.
fn others(path: &Path) -> Result<BTreeMap<String, Stored>, Error> {
    // Several files or a pickle: what is in them and not learned is not needed for vectors.
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let bytes = read(path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| Error::damaged(path, error))?;
    let tensors = file.iter().map(|(name, view)| {
        let stored = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
        (name.to_owned(), stored)
    });
    Ok(tensors.collect())
}
