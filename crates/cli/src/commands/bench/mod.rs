//! `siamese bench`: how fast this machine is, in figures that others can repeat.

mod encoder;
mod filters;
mod http;
mod index;
mod storage;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// Measure this machine
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    Encoder(encoder::EncoderBench),
    Index(index::Index),
    Http(http::HttpBench),
    Storage(storage::Storage),
}

impl Bench {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            BenchCommand::Encoder(bench) => bench.run(),
            BenchCommand::Index(bench) => bench.run(),
            BenchCommand::Http(bench) => bench.run(),
            BenchCommand::Storage(bench) => bench.run(),
        }
    }
}
