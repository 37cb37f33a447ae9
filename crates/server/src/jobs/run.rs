//! What the work of a job is given.

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU64;

use serde::Serialize;
use serde_json::Value;
use siamese_index::{Cancel, Index, JobResultFile, Progress, Workers};

use super::job::Job;
use crate::error::{ApiError, ErrorCode};
use crate::thread_slice;

/// A job that is being done.
#[derive(Debug)]
pub(crate) struct JobRun<'a> {
    pub(crate) id: &'a str,
    pub(super) job: &'a Job,
    pub(super) index: &'a Index,
    pub(super) max_result_bytes: u64,
    /// Tells it to end before it is done.
    pub(crate) cancel: &'a Cancel,
    /// Tells others how far it is.
    pub(crate) progress: &'a Progress,
    /// Counts tokens that are encoded.
    pub(crate) tokens: &'a AtomicU64,
}

/// What a job has found, line by line.
#[derive(Debug)]
pub(crate) struct ResultLines<'a> {
    file: JobResultFile<'a>,
    max_bytes: u64,
}

impl JobRun<'_> {
    /// Threads for arithmetic of which nothing is waited for: as many as the machine has cores, but one, since
    /// queries do best on a core whose caches nobody else has used.
    pub(crate) fn workers() -> Workers {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = NonZeroUsize::new(cores - 1).unwrap_or(NonZeroUsize::MIN);
        Workers::apart(threads, thread_slice::run_when_idle)
    }

    /// Tells others what else is known of how far it is.
    pub(crate) fn tell(&self, details: Value) {
        self.job.change(|record| record.details = Some(details));
    }

    /// Begins to write what was found.
    ///
    /// # Errors
    /// A full or failing disk.
    pub(crate) fn result(&self) -> Result<ResultLines<'_>, ApiError> {
        Ok(ResultLines {
            file: self.index.jobs().new_result(self.id)?,
            max_bytes: self.max_result_bytes,
        })
    }
}

impl ResultLines<'_> {
    /// Adds lines of JSON, which are made on a thread apart.
    ///
    /// # Errors
    /// More than `jobs.max_results_bytes`, or a full or failing disk.
    pub(crate) fn write_all(&mut self, lines: &[impl Serialize + Sync]) -> Result<(), ApiError> {
        let bytes = JobRun::workers().compute(|| as_lines(lines))?;
        let bytes = bytes.map_err(ApiError::internal)?;
        if self.file.bytes() + bytes.len() as u64 > self.max_bytes {
            let max_bytes = self.max_bytes;
            let detail = format!("the result is over jobs.max_results_bytes = {max_bytes} bytes");
            return Err(ApiError::new(ErrorCode::ResponseTooLarge, detail));
        }
        Ok(self.file.write(&bytes)?)
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// A full or failing disk.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        Ok(self.file.finish()?)
    }
}

fn as_lines(lines: &[impl Serialize]) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}
