//! `siamese compact`

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;
use siamese_index::IndexOptions;

/// Rewrite the store of a data folder so that it takes no more room than it needs
///
/// The service must not be running. The old store stays until the new one is complete, on the disk
/// and compared, so the disk must have room for both; killed at any moment, nothing is lost.
#[derive(Debug, clap::Args)]
pub(crate) struct Compact {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

impl Compact {
    pub(crate) fn run(self) -> Result<ExitCode> {
        crate::private_files::keep_to_this_user();
        let report = siamese_index::compact(&self.data, &IndexOptions::default())?;
        if self.json {
            let figures = json!({
                "entries": report.entries,
                "live_bytes": report.live_bytes,
                "before_bytes": report.before_bytes,
                "after_bytes": report.after_bytes,
            });
            writeln!(stdout(), "{figures}")?;
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(
            stdout(),
            "{} entries of {} bytes; the store took {} bytes and takes {} now",
            report.entries,
            report.live_bytes,
            report.before_bytes,
            report.after_bytes
        )?;
        Ok(ExitCode::SUCCESS)
    }
}
