//! What can go wrong between examples and a model that has learned from them.

use std::path::PathBuf;

/// Why a model could not be trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of examples cannot be read.
    #[error("{path}:{line}: {reason}", path = path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Examples of different kinds, or none.
    #[error("{0}")]
    Examples(String),
    /// A setting that does not fit.
    #[error("{0}")]
    Setting(String),
    /// The loss is not a number any more.
    #[error(
        "the loss is not finite after {step} steps; a smaller learning rate than {learning_rate} may help"
    )]
    NotFinite {
        /// Steps that were made.
        step: usize,
        /// The learning rate that was set.
        learning_rate: f64,
    },
    /// There is a model in the place of the one that is to be written.
    #[error("{path} is there already", path = path.display())]
    OutputExists {
        /// The place.
        path: PathBuf,
    },
    /// A training that was interrupted, and that is to go on in another way than it began.
    #[error(
        "{folder} holds a training that began with another {what}: go on with what it began with, or \
         delete the folder",
        folder = folder.display()
    )]
    OtherTraining {
        /// Where it is.
        folder: PathBuf,
        /// What differs.
        what: String,
    },
    /// A training that was interrupted, or that another process is at work on.
    #[error("{folder} is there: {why}", folder = folder.display())]
    WorkFolder {
        /// Where it is.
        folder: PathBuf,
        /// What it is, and what may be done.
        why: &'static str,
    },
    /// What was written of an interrupted training cannot be read.
    #[error("{path} is damaged: {reason}; delete the folder to begin anew", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model.
    #[error(transparent)]
    Encoder(#[from] siamese_encoder::Error),
    /// A computation failed.
    #[error("a step of the training failed: {0}")]
    Computation(#[from] candle_core::Error),
    /// A file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
