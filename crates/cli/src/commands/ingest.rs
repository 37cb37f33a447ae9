//! `siamese ingest`

use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::account::{Account, Counts, Place};
use crate::client::{Connection, Service};
use crate::reading::{self, ENDINGS, Found, Item, ReadOptions};
use crate::sender::{MAX_SHOWN_OF_FILE, Sender, progress};

/// Reasons for skipping files that are printed.
const MAX_SHOWN_REASONS: usize = 10;

/// Store files: JSON, CSV, plain text, Markdown, HTML, PDF
///
/// What is stored already and has not changed is not encoded again, so an interrupted ingest is
/// simply started again. A file or row that cannot be read is named, and the rest is stored; the exit
/// code is 1 then.
#[derive(Debug, clap::Args)]
pub(crate) struct Ingest {
    /// Files, or folders to walk through; `-` is standard input
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Write what became of each file, and every failure with its line, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    options: ReadOptions,
}

impl Ingest {
    pub(crate) fn run(self) -> Result<ExitCode> {
        // Before the work, so that the account of it is not lost when it cannot be written.
        let report = self
            .report
            .as_deref()
            .map(|path| self.create(path))
            .transpose()?;
        let found = reading::find(&self.paths, &self.options)?;
        if found.files.is_empty() && found.failed.is_empty() {
            bail!("nothing to read: no {ENDINGS} files there");
        }
        let service = Service::new(&self.connection);
        let bytes = found.files.iter().map(|file| file.bytes).sum();
        let mut sender = Sender::new(&service, progress(bytes));
        let made = service.ensure_collection().map_err(Into::into);
        let outcome = made.and_then(|()| self.send(&found, &mut sender));
        let mut account = sender.finish();
        account.ended_early = outcome.as_ref().err().map(|error| format!("{error:#}"));
        if let Some(report) = report {
            account.write(report).context("cannot write the report")?;
        }
        if outcome.is_ok() || account.documents != Counts::default() {
            print(&account)?;
        }
        if account.failed.count() > MAX_SHOWN_OF_FILE && self.report.is_none() {
            eprintln!("--report FILE lists every failure with its file and line");
        }
        outcome?;
        Ok(match account.documents.failed {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }

    /// Makes the report's file, which must not be one of those to read.
    fn create(&self, path: &Path) -> Result<fs_err::File> {
        let real = |path: &Path| path.canonicalize().ok();
        let report = real(path);
        if report.is_some() && self.paths.iter().any(|named| real(named) == report) {
            bail!(
                "--report {} would overwrite a file that is to be read",
                path.display()
            );
        }
        fs_err::File::create(path).context("cannot write the report")
    }

    /// Sends what can be read and notes what cannot.
    ///
    /// # Errors
    /// When the service takes nothing more.
    fn send(&self, found: &Found, sender: &mut Sender<'_>) -> Result<()> {
        for (file, reason) in &found.failed {
            sender.failed(&Place::new(file, None), reason);
        }
        for (file, reason) in &found.skipped {
            sender.skipped(file, reason);
        }
        let mut last = found.files.first();
        for (file, item) in reading::items(&found.files, &self.options) {
            if let Some(read) = last.filter(|last| !std::ptr::eq(*last, file)) {
                sender.passed(read.bytes);
            }
            last = Some(file);
            let at = |line| Place::new(&file.shown, line);
            match item {
                Item::Document(document) => {
                    sender.push(at(document.line), &serde_json::to_string(&document)?)?;
                }
                Item::Failed(trouble) => sender.failed(&at(trouble.line), trouble.reason),
                Item::Warning(trouble) => sender.warned(&at(trouble.line), trouble.reason),
                Item::Skipped(trouble) => sender.skipped(&file.shown, trouble.reason),
            }
        }
        sender.flush()
    }
}

/// Says what became of the files.
fn print(account: &Account) -> Result<()> {
    let (documents, mut out) = (account.documents, stdout());
    write!(
        out,
        "{} created, {} updated, {} unchanged, {} failed",
        documents.created, documents.updated, documents.unchanged, documents.failed
    )?;
    if documents.rejected > 0 {
        write!(out, ", {} nearly the same as others", documents.rejected)?;
    }
    match account.warnings.count() {
        0 => {}
        1 => write!(out, ", 1 warning")?,
        warnings => write!(out, ", {warnings} warnings")?,
    }
    match account.skipped.count() {
        0 => {}
        skipped => write!(out, ", {skipped} skipped")?,
    }
    writeln!(out)?;
    let mut reasons = BTreeMap::<_, Vec<_>>::new();
    for entry in account.skipped.list() {
        reasons
            .entry(entry.reason())
            .or_default()
            .push(entry.file());
    }
    for (reason, files) in reasons.iter().take(MAX_SHOWN_REASONS) {
        let first = files.first().copied().unwrap_or_default();
        match files.len() {
            1 => eprintln!("skipped {first}: {reason}"),
            more => eprintln!("skipped {first} and {} more: {reason}", more - 1),
        }
    }
    Ok(())
}
