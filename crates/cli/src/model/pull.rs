//! Brings a pinned model into a folder, from the first source that has it.

use std::io;
use std::path::Path;

use fs_err::File;

use super::checksum::FileState;
use super::manifest::PinnedModel;
use super::progress::Progress;
use super::source::{Source, SourceError};
use super::staging::{Staging, beside};

/// What a pull had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pulled {
    /// Every file was there and right.
    AlreadyThere,
    /// Files were fetched.
    Fetched,
}

/// Why a model could not be brought.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    /// No source had every file.
    #[error(
        "the model {model} could not be fetched: {failures}. If this machine is behind a proxy, \
         set HTTPS_PROXY (and PIP_INDEX_URL or HF_ENDPOINT for a mirror); if it has no network, \
         copy a sentence-transformers folder of the model from another machine and give its path \
         with --model DIR"
    )]
    NoSource {
        /// The model's name.
        model: &'static str,
        /// Each source and why it failed.
        failures: String,
    },
    /// This machine's disk failed.
    #[error("the model's files cannot be written: {0}")]
    Disk(#[from] io::Error),
}

/// Makes `target` hold every file of `model`, byte for byte. Two processes may do so at once: the
/// second waits and finds the work done.
///
/// # Errors
/// When no source delivers, or the disk fails. Files that came are kept for the next attempt.
pub(crate) fn pull(
    model: &PinnedModel,
    target: &Path,
    sources: &[&dyn Source],
    progress: &Progress,
) -> Result<Pulled, PullError> {
    if is_intact(model, target)? {
        return Ok(Pulled::AlreadyThere);
    }
    if let Some(parent) = target.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let _lock = lock(target, progress)?;
    if is_intact(model, target)? {
        return Ok(Pulled::AlreadyThere);
    }
    let staging = Staging::open(target)?;
    staging.adopt(target, &staging.wanted(model)?)?;
    fetch(model, &staging, sources, progress)?;
    staging.install(target, model)?;
    Ok(Pulled::Fetched)
}

/// Asks one source after the other for what is still wanted.
fn fetch(
    model: &PinnedModel,
    staging: &Staging,
    sources: &[&dyn Source],
    progress: &Progress,
) -> Result<(), PullError> {
    let mut failures = Vec::new();
    for source in sources {
        let wanted = staging.wanted(model)?;
        if wanted.is_empty() {
            break;
        }
        let missing: u64 = wanted.iter().map(|file| file.bytes).sum();
        progress.set(model.total_bytes() - missing);
        progress.note(&format!("fetching {} from {}", model.name, source.name()));
        match source.fetch(&wanted, staging, progress) {
            Ok(()) => {}
            Err(SourceError::Disk(error)) => return Err(error.into()),
            Err(error) => {
                progress.note(&format!("  that failed: {error}"));
                failures.push(format!("{} failed ({error})", source.name()));
            }
        }
    }
    progress.finish();
    if staging.wanted(model)?.is_empty() {
        return Ok(());
    }
    Err(PullError::NoSource {
        model: model.name,
        failures: failures.join("; "),
    })
}

fn is_intact(model: &PinnedModel, folder: &Path) -> io::Result<bool> {
    for file in model.files {
        if file.state(&folder.join(file.path))? != FileState::Intact {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes the model's lock file, which stays behind: to delete it would free a lock that another
/// process has just opened.
fn lock(target: &Path, progress: &Progress) -> io::Result<File> {
    let lock = File::create(beside(target, ".lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            progress.note("another process is fetching this model; waiting for it");
            lock.lock()?;
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(error),
    }
    Ok(lock)
}
