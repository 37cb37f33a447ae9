//! `siamese export`

use std::io::{BufRead, BufReader, BufWriter, IsTerminal, Read, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::client::{Connection, Service};

/// What every whole export ends with.
const END: &[u8] = b"{\"end\":";

/// Write a collection of a running service as lines of JSON
///
/// The first line names the encoder and the settings, the last says how many documents there were.
/// `siamese import` reads it; other programs take the lines between.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Where to; standard output when absent. The file gets its name when it is complete
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the vectors, too, so that an import need not encode again
    #[arg(long)]
    vectors: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Export {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let lines = Service::new(&self.connection).export(self.vectors)?;
        match &self.output {
            None => copy(lines, stdout().lock(), &ProgressBar::hidden())?,
            Some(file) => into_file(lines, file)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn into_file(lines: impl Read, file: &Path) -> Result<()> {
    ensure!(!file.exists(), "{} exists already", file.display());
    let folder = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let mut arriving = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("cannot write into {}", folder.display()))?;
    let bar = progress();
    copy(lines, &mut arriving, &bar)?;
    arriving.as_file().sync_all()?;
    arriving.persist_noclobber(file)?;
    bar.finish_and_clear();
    Ok(())
}

/// Nobody knows beforehand how long an export is, so it shows what has come.
fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} lines  {elapsed}") {
        bar.set_style(style);
    }
    if !stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

/// Copies line by line.
///
/// # Errors
/// An export that breaks off before its end.
fn copy(lines: impl Read, target: impl Write, bar: &ProgressBar) -> Result<()> {
    let (mut lines, mut target) = (BufReader::new(lines), BufWriter::new(target));
    let (mut line, mut is_ended) = (Vec::new(), false);
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line);
        if read.context("the export was interrupted")? == 0 {
            break;
        }
        is_ended = line.starts_with(END);
        target.write_all(&line)?;
        bar.inc(1);
    }
    target.flush()?;
    ensure!(
        is_ended,
        "the export was interrupted; its last line says why, if the service could still write it"
    );
    Ok(())
}
