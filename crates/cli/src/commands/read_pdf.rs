//! `siamese read-pdf`, which other commands start.

use std::io::stdout;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::reading;

/// Read the pages of a PDF for another command
#[derive(Debug, clap::Args)]
pub(crate) struct ReadPdf {
    /// The PDF
    file: PathBuf,
    /// The first page to read
    #[arg(long, default_value_t = 1)]
    from: u32,
}

impl ReadPdf {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        reading::write_pages(&self.file, self.from, stdout().lock())?;
        Ok(ExitCode::SUCCESS)
    }
}
