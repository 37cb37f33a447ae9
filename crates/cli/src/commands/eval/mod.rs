//! `siamese eval`

mod duplicates;
mod retrieval;
mod sts;

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Measure how well a running service compares and finds
#[derive(Debug, clap::Args)]
pub(crate) struct Eval {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Sts(sts::Sts),
    Retrieval(retrieval::Retrieval),
    Duplicates(duplicates::Duplicates),
}

impl Eval {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Sts(command) => command.run(),
            Command::Retrieval(command) => command.run(),
            Command::Duplicates(command) => command.run(),
        }
    }
}

/// A bar of `length` steps, hidden when nobody watches.
fn progress(length: usize, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length as u64).with_message(what);
    let template = "{bar:30} {pos}/{len} {msg}  {elapsed}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    if !stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}
