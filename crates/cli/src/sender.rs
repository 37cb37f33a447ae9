//! Sends documents to a service, some hundred in a request, and keeps the account.

use std::io::{IsTerminal, stderr};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;

use crate::account::{Account, Entry, Place};
use crate::client::{Problem, Service, ServiceError};

/// Documents of one request: an interrupted run has at most these to send again.
const MAX_REQUEST_DOCUMENTS: usize = 512;
/// Size of one request.
const MAX_REQUEST_BYTES: usize = 4 << 20;
/// Times a busy service is asked again.
const MAX_ATTEMPTS: usize = 60;
/// Failures, and warnings, that are printed as they come; the rest is counted.
const MAX_SHOWN: u64 = 20;

/// One line of the service's answer.
#[derive(Debug, Deserialize)]
struct Answer {
    line: Option<usize>,
    status: Option<String>,
    error: Option<Problem>,
    #[serde(default)]
    warnings: Vec<Warning>,
}

/// What the service says of a document that it stored.
#[derive(Debug, Deserialize)]
struct Warning {
    detail: String,
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

/// Gathers documents into requests.
#[derive(Debug)]
pub(crate) struct Sender<'a> {
    service: &'a Service,
    bar: ProgressBar,
    account: Account,
    body: Vec<u8>,
    /// Where each document in the body comes from.
    places: Vec<Place>,
}

impl<'a> Sender<'a> {
    pub(crate) fn new(service: &'a Service, bar: ProgressBar) -> Self {
        Self {
            service,
            bar,
            account: Account::default(),
            body: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Adds one line as it is, for documents that are lines already.
    pub(crate) fn line(&mut self, name: &str, number: u64, json: &str) -> Result<()> {
        self.bar.inc(1);
        self.push(Place::new(name, Some(number)), json)
    }

    /// As [`Self::line`]; the caller moves the bar.
    pub(crate) fn push(&mut self, place: Place, json: &str) -> Result<()> {
        // A large document does not make the request of those before it larger.
        if self.body.len() + json.len() > MAX_REQUEST_BYTES {
            self.flush()?;
        }
        self.body.extend_from_slice(json.as_bytes());
        self.body.push(b'\n');
        self.places.push(place);
        if self.places.len() >= MAX_REQUEST_DOCUMENTS {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what was gathered; a busy service is asked again after the time it names.
    pub(crate) fn flush(&mut self) -> Result<()> {
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
            if let (None, Some(problem)) = (answer.line, &answer.error) {
                bail!("the service ended the stream: {}", problem.detail);
            }
            let place = answer.line.and_then(|line| line.checked_sub(1));
            let Some(place) = place.and_then(|place| self.places.get(place)).cloned() else {
                continue;
            };
            self.answered(&place, answer);
            answered += 1;
            let counts = self.account.documents;
            let stored = counts.created + counts.updated + counts.unchanged;
            self.bar.set_message(format!("{stored} documents"));
        }
        if answered < self.places.len() {
            bail!("the service ended the stream early; start again to go on");
        }
        Ok(())
    }

    /// Notes what became of the document from a place.
    fn answered(&mut self, place: &Place, answer: Answer) {
        match (answer.status.as_deref(), answer.error) {
            (_, Some(problem)) => {
                let reason = format!("{}{} ({})", problem.detail, problem.place(), problem.code);
                self.failed(place, reason);
            }
            (Some("created"), _) => self
                .account
                .count(&place.file, |counts| counts.created += 1),
            (Some("updated"), _) => self
                .account
                .count(&place.file, |counts| counts.updated += 1),
            (Some("unchanged"), _) => self
                .account
                .count(&place.file, |counts| counts.unchanged += 1),
            (status, _) => self.failed(place, format!("the service answered {status:?}")),
        }
        for warning in answer.warnings {
            self.warned(place, warning.detail);
        }
    }

    /// Notes that something was not stored, and tells it.
    pub(crate) fn failed(&mut self, place: &Place, reason: impl Into<String>) {
        let entry = Entry::new(place, reason);
        self.tell(self.account.failed.count(), "failures", &entry);
        self.account.fail(entry);
    }

    /// Notes something to know about what was stored, and tells it.
    pub(crate) fn warned(&mut self, place: &Place, reason: impl Into<String>) {
        let entry = Entry::new(place, format!("warning: {}", reason.into()));
        self.tell(self.account.warnings.count(), "warnings", &entry);
        self.account.warnings.push(entry);
    }

    fn tell(&self, told: u64, what: &str, entry: &Entry) {
        if told < MAX_SHOWN {
            self.bar.suspend(|| eprintln!("{entry}"));
        } else if told == MAX_SHOWN {
            self.bar
                .suspend(|| eprintln!("further {what} are only counted"));
        }
    }

    /// Notes a file that is not read.
    pub(crate) fn skipped(&mut self, file: &str, reason: impl Into<String>) {
        let entry = Entry::new(&Place::new(file, None), reason);
        self.account.skipped.push(entry);
    }

    /// Moves the bar.
    pub(crate) fn passed(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Gives the account; what was not flushed has not been sent.
    pub(crate) fn finish(self) -> Account {
        self.bar.finish_and_clear();
        self.account
    }
}
