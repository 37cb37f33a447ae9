//! `siamese accept-loss`

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use siamese_index::Index;

/// Go on with what is left of a data folder that has lost its last writes
///
/// The service refuses to start when the record ends before the last write that was acknowledged.
/// What is left is whole, as it was some time before. Restore a snapshot instead if there is a newer
/// one. The service must not be running.
#[derive(Debug, clap::Args)]
pub(crate) struct AcceptLoss {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

impl AcceptLoss {
    pub(crate) fn run(self) -> Result<ExitCode> {
        crate::private_files::keep_to_this_user();
        match Index::accept_loss(&self.data)? {
            0 => writeln!(stdout(), "nothing is lost")?,
            writes => writeln!(stdout(), "{writes} acknowledged writes are given up")?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
