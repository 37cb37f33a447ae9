//! `siamese bench`: how fast this machine is, in figures that others can repeat.

#[cfg(any(feature = "measure", test))]
mod collection;
#[cfg(any(feature = "measure", test))]
mod duplicates;
mod encoder;
mod filters;
mod http;
mod index;
mod index_precision;
mod load;
mod pace;
mod soak;
mod soaked_service;
#[cfg(any(feature = "measure", test))]
mod storage;
#[cfg(any(feature = "measure", test))]
mod synthetic;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Subcommand;
use serde_json::Value;
use siamese_kernels::Kernels;

/// Measure this machine
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// Use no newer instructions of the CPU than these, as another machine would have them: avx512, avx2, neon or portable.
    /// For what this process computes itself
    #[arg(long, global = true, value_name = "NAME")]
    instruction_set: Option<String>,
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    Encoder(encoder::EncoderBench),
    Index(index::Index),
    #[cfg(any(feature = "measure", test))]
    Collection(collection::CollectionBench),
    #[cfg(any(feature = "measure", test))]
    Duplicates(duplicates::DuplicatesBench),
    Http(http::HttpBench),
    Load(load::LoadBench),
    #[cfg(any(feature = "measure", test))]
    Storage(storage::Storage),
    Soak(soak::Soak),
}

impl BenchCommand {
    /// Returns whether this process computes what is measured.
    fn computes(&self) -> bool {
        !matches!(self, Self::Http(_) | Self::Load(_) | Self::Soak(_))
    }
}

impl Bench {
    pub(crate) fn run(self) -> Result<ExitCode> {
        if let Some(name) = &self.instruction_set {
            ensure!(
                self.command.computes(),
                "--instruction-set is for what this process computes; this command asks a service"
            );
            Kernels::choose(name)?;
        }
        match self.command {
            BenchCommand::Encoder(bench) => bench.run(),
            BenchCommand::Index(bench) => bench.run(),
            #[cfg(any(feature = "measure", test))]
            BenchCommand::Collection(bench) => bench.run(),
            #[cfg(any(feature = "measure", test))]
            BenchCommand::Duplicates(bench) => bench.run(),
            BenchCommand::Http(bench) => bench.run(),
            BenchCommand::Load(bench) => bench.run(),
            #[cfg(any(feature = "measure", test))]
            BenchCommand::Storage(bench) => bench.run(),
            BenchCommand::Soak(bench) => bench.run(),
        }
    }
}

/// The time below which so many percent of the sorted times are, milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> Option<f64> {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).map(|time| time.as_secs_f64() * 1e3)
}

/// How many times as long one part's time at `key` is as the other's.
fn ratio(part: &Value, of: &Value, key: &str) -> Option<f64> {
    let time = |part: &Value| part[key].as_f64();
    Some(time(part)? / time(of)?)
}
