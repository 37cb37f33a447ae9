//! What the work of a job is given.

use siamese_index::{Cancel, Index, JobResultFile, Progress};

use crate::error::{ApiError, ErrorCode};

/// A job that is being done.
#[derive(Debug)]
pub(crate) struct JobRun<'a> {
    pub(super) id: &'a str,
    pub(super) index: &'a Index,
    pub(super) max_result_bytes: u64,
    /// Tells it to end before it is done.
    pub(crate) cancel: &'a Cancel,
    /// Tells others how far it is.
    pub(crate) progress: &'a Progress,
}

/// What a job has found, line by line.
#[derive(Debug)]
pub(crate) struct ResultLines<'a> {
    file: JobResultFile<'a>,
    max_bytes: u64,
}

impl JobRun<'_> {
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
    /// Adds a line of JSON.
    ///
    /// # Errors
    /// More than `jobs.max_results_bytes`, or a full or failing disk.
    pub(crate) fn write(&mut self, line: &impl serde::Serialize) -> Result<(), ApiError> {
        let mut bytes = serde_json::to_vec(line).map_err(ApiError::internal)?;
        bytes.push(b'\n');
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
