//! The weights of a folder: one file or several, of safetensors or as PyTorch pickles them.

mod pickle_file;
mod safetensors_file;
mod shard_index;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use pickle_file::PickleFile;
use safetensors_file::SafetensorsFile;
use shard_index::ShardIndex;

use crate::Error;

/// The file that is asked for first, and named when there is none.
const SAFETENSORS: &str = "model.safetensors";
const PICKLE: &str = "pytorch_model.bin";
/// Which of several files has which tensor.
const INDICES: [&str; 2] = [
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
];

/// The weights of a folder, read tensor by tensor.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// What says what there is: the file, or the index of files.
    path: PathBuf,
    files: Vec<TensorFile>,
    /// The file of each tensor, where there is an index.
    places: Option<HashMap<String, usize>>,
}

/// A file with tensors.
#[derive(Debug)]
enum TensorFile {
    Safetensors(SafetensorsFile),
    Pickle(PickleFile),
}

/// What the values of a tensor are wanted for.
trait Tensors {
    /// The length of each dimension of a tensor, if there is such a one.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// The values of a tensor that is there, row-major.
    ///
    /// # Errors
    /// When they are of an unknown type, or cannot be read.
    fn values(&mut self, name: &str) -> Result<Vec<f32>, Error>;

    /// The values of a tensor of whole numbers that is there.
    ///
    /// # Errors
    /// As [`Self::values`].
    fn integers(&mut self, name: &str) -> Result<Vec<i64>, Error>;
}

impl TensorFile {
    fn open(path: &Path) -> Result<Self, Error> {
        Ok(
            match path.extension().is_some_and(|extension| extension == "bin") {
                true => Self::Pickle(PickleFile::open(path)?),
                false => Self::Safetensors(SafetensorsFile::open(path)?),
            },
        )
    }

    fn path(&self) -> &Path {
        match self {
            Self::Safetensors(file) => file.path(),
            Self::Pickle(file) => file.path(),
        }
    }

    fn tensors(&self) -> &dyn Tensors {
        match self {
            Self::Safetensors(file) => file,
            Self::Pickle(file) => file,
        }
    }

    fn tensors_mut(&mut self) -> &mut dyn Tensors {
        match self {
            Self::Safetensors(file) => file,
            Self::Pickle(file) => file,
        }
    }
}

impl Checkpoint {
    /// Opens the weights of a folder: `model.safetensors`, else several such files with an index,
    /// else the same as `pytorch_model.bin`.
    ///
    /// # Errors
    /// When a file is missing, cut short, or not what its name says.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let single = folder.join(SAFETENSORS);
        if single.exists() {
            return Self::of_one(single);
        }
        let [safetensors, pickles] = INDICES.map(|name| folder.join(name));
        if safetensors.exists() {
            return Self::of_shards(safetensors);
        }
        let pickle = folder.join(PICKLE);
        if pickle.exists() {
            return Self::of_one(pickle);
        }
        if pickles.exists() {
            return Self::of_shards(pickles);
        }
        Err(Error::MissingFile { path: single })
    }

    fn of_one(path: PathBuf) -> Result<Self, Error> {
        Ok(Self {
            files: vec![TensorFile::open(&path)?],
            path,
            places: None,
        })
    }

    fn of_shards(path: PathBuf) -> Result<Self, Error> {
        let ShardIndex { files, places } = ShardIndex::read(&path)?;
        let files: Vec<TensorFile> = files
            .iter()
            .map(|file| TensorFile::open(file))
            .collect::<Result<_, _>>()?;
        for (name, place) in &places {
            let file = &files[*place];
            if file.tensors().shape(name).is_none() {
                let index = path.file_name().unwrap_or_default().to_string_lossy();
                let reason = format!("it has no tensor {name}, which {index} says it has");
                return Err(Error::damaged(file.path(), reason));
            }
        }
        Ok(Self {
            path,
            files,
            places: Some(places),
        })
    }

    /// The file that says what there is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All files with tensors, in order.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(TensorFile::path)
    }

    fn file(&self, name: &str) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(name).copied(),
            None => Some(0),
        }
    }

    /// The length of each dimension of a tensor, if there is such a one.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.files[self.file(name)?].tensors().shape(name)
    }

    /// Returns whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }

    /// The values of a tensor, row-major, as f32.
    ///
    /// # Errors
    /// When it is missing or has another shape or type.
    pub(crate) fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        self.checked(name, shape)?.values(name)
    }

    /// The values of a tensor of whole numbers.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn read_integers(&mut self, name: &str, shape: &[usize]) -> Result<Vec<i64>, Error> {
        self.checked(name, shape)?.integers(name)
    }

    /// The file of a tensor that has this shape.
    fn checked(&mut self, name: &str, shape: &[usize]) -> Result<&mut dyn Tensors, Error> {
        let file = self.file(name);
        let found = file.and_then(|file| self.files[file].tensors().shape(name));
        let (Some(file), Some(found)) = (file, found) else {
            return Err(Error::damaged(
                &self.path,
                format!("it has no tensor {name}"),
            ));
        };
        let file = &mut self.files[file];
        if found != shape {
            let reason = format!("{name} has the shape {found:?}, not {shape:?}");
            return Err(Error::damaged(file.path(), reason));
        }
        Ok(file.tensors_mut())
    }

    /// The names of what a layer norm multiplies by and of what it adds; models from TensorFlow call them
    /// gamma and beta.
    pub(crate) fn norm_names(&self, norm: &str) -> [String; 2] {
        let names = match self.has(&format!("{norm}.gamma")) {
            true => ["gamma", "beta"],
            false => ["weight", "bias"],
        };
        names.map(|name| format!("{norm}.{name}"))
    }

    /// What a layer norm multiplies by and what it adds. Without a bias the latter is zeros.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn read_norm(
        &mut self,
        name: &str,
        width: usize,
        has_bias: bool,
    ) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let [gain, shift] = self.norm_names(name);
        let gain = self.read(&gain, &[width])?;
        let shift = match has_bias {
            true => self.read(&shift, &[width])?,
            false => vec![0.0; width],
        };
        Ok((gain, shift))
    }
}
