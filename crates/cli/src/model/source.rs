//! Where a model's files may come from, and how a source can fail.

use std::io::{self, Read, Write};

use super::checksum::FileState;
use super::manifest::PinnedFile;
use super::progress::Progress;
use super::staging::Staging;

/// Hands out the files of one model.
pub(crate) trait Source {
    /// What people call it.
    fn name(&self) -> String;

    /// Brings the `wanted` files into `staging`. A file that is not what was pinned does not stop
    /// the others.
    ///
    /// # Errors
    /// When a wanted file did not come.
    fn fetch(
        &self,
        wanted: &[PinnedFile],
        staging: &Staging,
        progress: &Progress,
    ) -> Result<(), SourceError>;
}

/// Why a source did not deliver.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// No connection, no answer, or an answer that broke off or stalled.
    #[error("{0}")]
    Network(#[from] Box<ureq::Error>),
    /// It answered, but not with the file.
    #[error("it answered {status} for {file}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Which file was asked for.
        file: String,
    },
    /// A file is not what was pinned.
    #[error("its {file} {state}, which is not what was pinned")]
    Mismatch {
        /// Which file.
        file: &'static str,
        /// What is wrong with it.
        state: FileState,
    },
    /// This machine has no pip.
    #[error("there is no pip on this machine (tried {tried})")]
    NoPip {
        /// The commands that were tried.
        tried: String,
    },
    /// pip ended with an error; its own words.
    #[error("pip says: {0}")]
    Pip(String),
    /// pip did nothing for too long and was stopped.
    #[error("pip was stopped after {seconds} s without progress")]
    PipStalled {
        /// How long it was waited for.
        seconds: u64,
    },
    /// What pip brought cannot be read.
    #[error("the wheel cannot be read: {0}")]
    Wheel(#[from] zip::result::ZipError),
    /// This machine's disk failed: another source would not help.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

impl From<ureq::Error> for SourceError {
    fn from(error: ureq::Error) -> Self {
        Self::Network(Box::new(error))
    }
}

const READ_BYTES: usize = 1 << 16;

/// Copies up to `max_bytes` from a source to the disk, telling faults of one from the other's.
///
/// # Errors
/// What `from_source` makes of a failed read, or [`SourceError::Disk`].
pub(crate) fn copy(
    from: impl Read,
    mut to: impl Write,
    max_bytes: u64,
    from_source: impl Fn(io::Error) -> SourceError,
    progress: &Progress,
) -> Result<(), SourceError> {
    let mut from = from.take(max_bytes);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = from.read(&mut buffer).map_err(&from_source)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read])?;
        progress.add(read as u64);
    }
}

/// Takes the `.part` file in, or says why not.
///
/// # Errors
/// [`SourceError::Mismatch`], or the disk's.
pub(crate) fn accept(staging: &Staging, file: &PinnedFile) -> Result<(), SourceError> {
    match staging.accept(file)? {
        FileState::Intact => Ok(()),
        state => Err(SourceError::Mismatch {
            file: file.path,
            state,
        }),
    }
}
