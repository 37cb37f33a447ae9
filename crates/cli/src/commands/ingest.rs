//! `siamese ingest`

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;

use crate::client::{Connection, Problem, Service, ServiceError};
use crate::ingest::{self, SourceFile};

/// Documents of one request: an interrupted ingest has at most these to send again.
const MAX_REQUEST_DOCUMENTS: usize = 512;
/// Size of one request.
const MAX_REQUEST_BYTES: usize = 4 << 20;
/// Times a busy service is asked again.
const MAX_ATTEMPTS: usize = 60;
/// Failures that are printed; the rest is counted.
const MAX_SHOWN_FAILURES: u64 = 20;

/// Store files: JSON lines, CSV, plain text, Markdown
///
/// What is stored already and has not changed is not encoded again, so an interrupted ingest is
/// simply started again.
#[derive(Debug, clap::Args)]
pub(crate) struct Ingest {
    /// Files, or folders to walk through
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Documents by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// New.
    pub(crate) created: u64,
    /// Changed.
    pub(crate) updated: u64,
    /// As they were.
    pub(crate) unchanged: u64,
    /// Refused, or no documents at all.
    pub(crate) failed: u64,
}

/// One line of the service's answer.
#[derive(Debug, Deserialize)]
struct Answer {
    line: Option<usize>,
    status: Option<String>,
    error: Option<Problem>,
}

impl Ingest {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let files = ingest::find(&self.paths)?;
        if files.is_empty() {
            bail!("there are no .jsonl, .ndjson, .csv, .txt or .md files in what was named");
        }
        let service = Service::new(&self.connection);
        service.ensure_collection()?;
        let bytes = files.iter().map(|file| file.bytes).sum();
        let mut sender = Sender::new(&service, progress(bytes));
        for file in &files {
            sender.file(file)?;
        }
        let counts = sender.finish();
        writeln!(
            stdout(),
            "{} created, {} updated, {} unchanged, {} failed",
            counts.created,
            counts.updated,
            counts.unchanged,
            counts.failed
        )?;
        Ok(if counts.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// A bar over so many bytes; hidden when nobody looks.
pub(crate) fn progress(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let template = "{bar:30} {percent:>3} %  {msg}  {elapsed}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    if !stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

/// Gathers documents into requests and keeps the account.
pub(crate) struct Sender<'a> {
    service: &'a Service,
    bar: ProgressBar,
    counts: Counts,
    body: Vec<u8>,
    /// File and line of each document in the body.
    places: Vec<(String, u64)>,
}

impl<'a> Sender<'a> {
    pub(crate) fn new(service: &'a Service, bar: ProgressBar) -> Self {
        let (counts, body, places) = (Counts::default(), Vec::new(), Vec::new());
        Self {
            service,
            bar,
            counts,
            body,
            places,
        }
    }

    /// Sends the documents of one file. A bad document is told and counted.
    fn file(&mut self, file: &SourceFile) -> Result<()> {
        let name = file.path.display().to_string();
        let documents = ingest::read(file)?;
        for document in documents {
            match document {
                Ok(document) => {
                    self.body.extend(serde_json::to_vec(&document.json)?);
                    self.body.push(b'\n');
                    self.places.push((name.clone(), document.line));
                    self.send_if_full()?;
                }
                Err(bad) => self.failed(&name, bad.line, &bad.reason),
            }
        }
        // What the last request of a file holds is sent with the next, but counted here.
        self.bar.inc(file.bytes);
        self.send_if_last()
    }

    fn send_if_full(&mut self) -> Result<()> {
        if self.places.len() >= MAX_REQUEST_DOCUMENTS || self.body.len() >= MAX_REQUEST_BYTES {
            self.send()?;
        }
        Ok(())
    }

    fn send_if_last(&mut self) -> Result<()> {
        let is_last = self
            .bar
            .length()
            .is_none_or(|length| self.bar.position() >= length);
        if is_last { self.send() } else { Ok(()) }
    }

    /// Sends what was gathered; a busy service is asked again after the time it names.
    fn send(&mut self) -> Result<()> {
        if self.places.is_empty() {
            return Ok(());
        }
        for attempt in 1.. {
            match self.service.post_lines(&self.body) {
                Ok(answers) => {
                    self.read(answers)?;
                    break;
                }
                Err(ServiceError::Busy { retry_after, .. }) if attempt < MAX_ATTEMPTS => {
                    std::thread::sleep(retry_after);
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.body.clear();
        self.places.clear();
        Ok(())
    }

    fn read(&mut self, answers: impl Iterator<Item = std::io::Result<String>>) -> Result<()> {
        let mut answered = 0;
        for answer in answers {
            let answer: Answer = serde_json::from_str(&answer?)?;
            match (answer.line, answer.status.as_deref(), answer.error) {
                (Some(_), Some("created"), _) => self.counts.created += 1,
                (Some(_), Some("updated"), _) => self.counts.updated += 1,
                (Some(_), Some("unchanged"), _) => self.counts.unchanged += 1,
                (Some(line), _, Some(problem)) => self.refused(line, &problem),
                (None, _, Some(problem)) => {
                    bail!("the service ended the stream: {}", problem.detail)
                }
                _ => continue,
            }
            answered += 1;
            self.bar.set_message(format!("{} documents", self.stored()));
        }
        if answered < self.places.len() {
            bail!("the service ended the stream early; start the ingest again to go on");
        }
        Ok(())
    }

    fn refused(&mut self, line: usize, problem: &Problem) {
        let place = line
            .checked_sub(1)
            .and_then(|line| self.places.get(line))
            .cloned();
        let (name, line) = place.unwrap_or_default();
        let reason = format!("{}{} ({})", problem.detail, problem.place(), problem.code);
        self.failed(&name, line, &reason);
    }

    fn failed(&mut self, name: &str, line: u64, reason: &str) {
        self.counts.failed += 1;
        if self.counts.failed <= MAX_SHOWN_FAILURES {
            self.bar.suspend(|| eprintln!("{name}:{line}: {reason}"));
        } else if self.counts.failed == MAX_SHOWN_FAILURES + 1 {
            self.bar
                .suspend(|| eprintln!("further failures are only counted"));
        }
    }

    fn stored(&self) -> u64 {
        self.counts.created + self.counts.updated + self.counts.unchanged
    }

    /// Adds one line as it is, for documents that are lines already.
    pub(crate) fn line(&mut self, name: &str, number: u64, json: &str) -> Result<()> {
        self.bar.inc(1);
        self.push(name, number, json)
    }

    /// As [`Self::line`]; the caller moves the bar.
    pub(crate) fn push(&mut self, name: &str, number: u64, json: &str) -> Result<()> {
        self.body.extend_from_slice(json.as_bytes());
        self.body.push(b'\n');
        self.places.push((name.to_owned(), number));
        self.send_if_full()
    }

    /// Sends what is left and gives the account.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.send()
    }

    pub(crate) fn finish(self) -> Counts {
        self.bar.finish_and_clear();
        self.counts
    }
}
