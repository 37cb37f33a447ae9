//! `siamese bench`: how fast this machine is, in figures that others can repeat.

mod encoder;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// Measure the encoder on this machine
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    Encoder(encoder::EncoderBench),
}

impl Bench {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            BenchCommand::Encoder(bench) => bench.run(),
        }
    }
}
