//! The commands, one file each.

mod accept_loss;
mod bench;
mod compact;
mod completions;
mod dedup;
mod demo;
mod eval;
mod export;
mod generation;
mod healthcheck;
mod import;
mod ingest;
mod key;
mod man_pages;
mod mcp;
mod migrate;
mod mode;
mod model;
mod openapi;
mod read_pdf;
mod search;
mod serve;
mod similarity;
mod snapshot;
mod stats;
mod train;
mod train_job;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

pub(crate) use train_job::training_process;

/// Semantic search as one small service: text in, durable vectors, answers over REST.
#[derive(Debug, Parser)]
#[command(name = "siamese", version, about, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Ingest(ingest::Ingest),
    Search(search::Search),
    Similarity(similarity::Similarity),
    Dedup(dedup::Dedup),
    Eval(eval::Eval),
    Train(Box<train::Train>),
    Export(export::Export),
    Import(import::Import),
    Migrate(migrate::Migrate),
    Generation(generation::Generation),
    Reencode(generation::Reencode),
    Snapshot(snapshot::Snapshot),
    Stats(stats::Stats),
    Compact(compact::Compact),
    Key(key::Key),
    Mcp(mcp::Mcp),
    Model(model::Model),
    Bench(bench::Bench),
    AcceptLoss(accept_loss::AcceptLoss),
    Healthcheck(healthcheck::Healthcheck),
    Openapi(openapi::Openapi),
    Completions(completions::Completions),
    ManPages(man_pages::ManPages),
    #[command(hide = true)]
    ReadPdf(read_pdf::ReadPdf),
    #[command(hide = true)]
    TrainJob(train_job::TrainJob),
}

impl Arguments {
    /// Does what the arguments say.
    ///
    /// # Errors
    /// When it cannot be done; [`crate::failure::report`] tells people.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Serve(command) => command.run(),
            Command::Demo(command) => command.run(),
            Command::Ingest(command) => command.run(),
            Command::Search(command) => command.run(),
            Command::Similarity(command) => command.run(),
            Command::Dedup(command) => command.run(),
            Command::Eval(command) => command.run(),
            Command::Train(command) => command.run(),
            Command::Export(command) => command.run(),
            Command::Import(command) => command.run(),
            Command::Migrate(command) => command.run(),
            Command::Generation(command) => command.run(),
            Command::Reencode(command) => command.run(),
            Command::Snapshot(command) => command.run(),
            Command::Stats(command) => command.run(),
            Command::Compact(command) => command.run(),
            Command::Key(command) => command.run(),
            Command::Mcp(command) => command.run(),
            Command::Model(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::AcceptLoss(command) => command.run(),
            Command::Healthcheck(command) => command.run(),
            Command::Openapi(command) => command.run(),
            Command::Completions(command) => command.run(),
            Command::ManPages(command) => command.run(),
            Command::ReadPdf(command) => command.run(),
            Command::TrainJob(command) => command.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        for command in Arguments::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }
}
