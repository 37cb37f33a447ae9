//! `siamese train`

mod learn;
mod mine;
mod options;
mod pairs;
mod shown;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

pub(super) use options::device;

/// Teach a model what is alike here, by examples
///
/// FILE is JSON lines or CSV with the columns anchor and positive (and, where there are, negative, negative_1 ..
/// and label), or sentence1, sentence2 and score, or sentence1, sentence2 and label (0 or 1). The folder that is
/// written is a complete sentence-transformers model. Ctrl-C keeps the best that there is so far. With --collection,
/// the examples are pairs of a running service.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Train {
    #[command(subcommand)]
    command: Option<TrainCommand>,
    #[command(flatten)]
    learn: learn::Learn,
}

/// What prepares examples.
#[derive(Debug, Subcommand)]
enum TrainCommand {
    Mine(mine::Mine),
    Pairs(pairs::Pairs),
}

impl Train {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            Some(TrainCommand::Mine(command)) => command.run(),
            Some(TrainCommand::Pairs(command)) => command.run(),
            None => self.learn.run(),
        }
    }
}
