//! Everything that can go wrong between a folder on disk and a vector.

use std::path::PathBuf;

use crate::SimilarityFunction;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a model could not be opened or a text not be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that this model needs is not there. Fetch the model again.
    #[error("{path} is missing from the model folder", path = path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// There is no `tokenizer.json`, but another file that one can be made of.
    #[error(
        "{path} is missing; the folder has {found}, of which Hugging Face's transformers makes one: \
         python -c \"from transformers import AutoTokenizer as T; T.from_pretrained('{folder}').save_pretrained('{folder}')\"",
        path = path.display(),
        folder = path.parent().unwrap_or(path).display()
    )]
    MissingTokenizer {
        /// The file.
        path: PathBuf,
        /// What is there instead.
        found: &'static str,
    },
    /// A file is not what it should be: cut short, changed, or of another shape. Fetch it again.
    #[error("{path} is damaged or not what was expected: {source}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Source,
    },
    /// `modules.json` lists a module that this encoder does not have.
    #[error("the module {module_type:?} in modules.json is not supported")]
    UnsupportedModule {
        /// The module's type as written in the file.
        module_type: String,
    },
    /// The pooling mode is not known.
    #[error("the pooling mode {mode:?} is not supported")]
    UnsupportedPooling {
        /// The mode as written in the file.
        mode: String,
    },
    /// There is no backbone for this architecture.
    #[error("the model_type {model_type:?} in config.json is not supported")]
    UnsupportedModelType {
        /// `model_type` of `config.json`.
        model_type: String,
    },
    /// The model is no cross-encoder, or one of an unknown kind.
    #[error(
        "the architecture {architecture:?} in config.json is not supported; rerankers are models for sequence classification, of which docs/models.md lists those that are"
    )]
    UnsupportedArchitecture {
        /// The first of `architectures` in `config.json`; empty when there is none.
        architecture: String,
    },
    /// A setting of the model asks for something this encoder does not do.
    #[error("{key} = {value} in the model's configuration is not supported")]
    UnsupportedSetting {
        /// The setting's key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// The model compares vectors in a way that the cosine does not stand for.
    #[error(
        "the model was trained to compare vectors by {similarity}, and they are not all of length 1; compared by cosine, as they would be here, they are ranked otherwise. If that is what you want, add a Normalize module at the end of modules.json"
    )]
    UnsupportedSimilarity {
        /// The similarity that the model was trained for.
        similarity: SimilarityFunction,
    },
    /// Nobody knows the derivatives of the model's passes, so it cannot be trained.
    #[error("{what} cannot be trained")]
    NotLearnable {
        /// What cannot be trained.
        what: String,
    },
    /// More dimensions were asked for than the model has, or none.
    #[error("{requested} dimensions were asked for; the model has 1 to {available}")]
    DimensionsOutOfRange {
        /// What the options asked for.
        requested: usize,
        /// What the model yields.
        available: usize,
    },
    /// Queries and documents go through modules of their own, and come out with different lengths.
    #[error(
        "the model's vectors of queries have {query} dimensions and those of documents {document}; they cannot be compared"
    )]
    DifferentDimensions {
        /// Length of a query's vector.
        query: usize,
        /// Length of a document's vector.
        document: usize,
    },
    /// The window asked for is larger than the model's, or leaves no room for a token of text.
    #[error(
        "a window of {requested} tokens was asked for; the model allows {minimum} to {available}"
    )]
    WindowOutOfRange {
        /// What the options asked for.
        requested: usize,
        /// Special tokens plus one.
        minimum: usize,
        /// The model's own window.
        available: usize,
    },
    /// The device is not there, or the binary was built without it.
    #[error("the device {device:?} is not available: {reason}")]
    DeviceUnavailable {
        /// The device that was asked for.
        device: &'static str,
        /// Why.
        reason: String,
    },
    /// The tokenizer failed on a text.
    #[error("the tokenizer failed: {0}")]
    Tokenize(Source),
    /// A token, its position or its segment has no row in the model's tables: tokenizer and
    /// weights do not belong together.
    #[error("the tokenizer and the weights do not fit together: {table} has too few rows")]
    TokenOutOfRange {
        /// The table that is too short.
        table: &'static str,
    },
    /// The forward pass failed.
    #[error("the forward pass failed: {0}")]
    Forward(#[from] candle_core::Error),
    /// The forward pass yielded a value that is not finite. No vector is made of it.
    #[error("the encoder yielded a value that is not finite for text {index} of the batch")]
    NonFinite {
        /// Place of the text in the call.
        index: usize,
    },
    /// The model's vectors are no sum over tokens, so that no token has a share of their cosine.
    #[error(
        "a Dense module of the model {model:?} applies {activation}, which is not linear: single tokens have no share of what comes out of it"
    )]
    NotLinear {
        /// The model's name.
        model: String,
        /// The function that is not linear.
        activation: &'static str,
    },
    /// The threads for the forward pass could not be started.
    #[error("cannot start threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// Reading a file failed; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    pub(crate) fn damaged(path: impl Into<PathBuf>, source: impl Into<Source>) -> Self {
        Self::Damaged {
            path: path.into(),
            source: source.into(),
        }
    }
}
