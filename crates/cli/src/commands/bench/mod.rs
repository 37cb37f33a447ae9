//! `siamese bench`

mod filters;
mod index;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// Measure this machine
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Index(index::Index),
}

impl Bench {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Index(command) => command.run(),
        }
    }
}
