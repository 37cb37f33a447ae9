//! Sends documents to a service, some hundred in a request, and keeps the account.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};
use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
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
/// How long to wait when the tokens of the key are used up, which come back by the minute, and how often at most if
/// nothing more is stored after it.
const BUDGET_WAIT: Duration = Duration::from_secs(2);
const MAX_BUDGET_WAITS: usize = 45;
/// Failures and warnings that are printed as they come, of one file and of all; the rest is counted.
/// One bad file does not keep people from seeing that there is another.
pub(crate) const MAX_SHOWN_OF_FILE: u64 = 10;
const MAX_SHOWN: u64 = 1000;

/// One line of the service's answer.
#[derive(Debug, Deserialize)]
struct Answer {
    line: Option<usize>,
    status: Option<String>,
    error: Option<Problem>,
    duplicate_of: Option<DuplicateOf>,
    #[serde(default)]
    warnings: Vec<Warning>,
}

impl Answer {
    /// Whether the key had no tokens left for the document.
    fn is_over_budget(&self) -> bool {
        let code = self.error.as_ref().map(|problem| problem.code.as_str());
        code == Some("budget_exceeded")
    }
}

/// The document that another one resembles.
#[derive(Debug, Deserialize)]
struct DuplicateOf {
    id: String,
    score: f32,
}

/// What the service says of a document that it stored.
#[derive(Debug, Deserialize)]
struct Warning {
    detail: String,
}

/// Places of the documents that no later one has the id of.
fn last_of_id(documents: &[(Place, String)]) -> HashSet<usize> {
    #[derive(Deserialize)]
    struct Identified {
        id: Option<String>,
    }
    let mut ids = HashSet::new();
    let mut is_last = |json: &str| {
        let id = serde_json::from_str(json)
            .ok()
            .and_then(|it: Identified| it.id);
        id.is_none_or(|id| ids.insert(id))
    };
    let from_behind = documents.iter().enumerate().rev();
    let last = from_behind.filter(|(_, (_, json))| is_last(json));
    last.map(|(place, _)| place).collect()
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
    /// Documents of the next request, each with its place.
    waiting: Vec<(Place, String)>,
    waiting_bytes: usize,
    /// Whether documents are stored whatever the collection does with duplicates.
    allows_duplicates: bool,
    told: Told,
}

/// How much has been printed.
#[derive(Debug, Default)]
struct Told {
    all: u64,
    files: HashMap<Arc<str>, u64>,
}

impl<'a> Sender<'a> {
    pub(crate) fn new(service: &'a Service, bar: ProgressBar) -> Self {
        Self {
            service,
            bar,
            account: Account::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            allows_duplicates: false,
            told: Told::default(),
        }
    }

    /// Has documents stored whatever the collection does with those that resemble others.
    pub(crate) fn with_duplicates(self) -> Self {
        Self {
            allows_duplicates: true,
            ..self
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
        if self.waiting_bytes + json.len() > MAX_REQUEST_BYTES {
            self.flush()?;
        }
        self.waiting_bytes += json.len();
        self.waiting.push((place, json.to_owned()));
        if self.waiting.len() >= MAX_REQUEST_DOCUMENTS {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what was gathered.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.send(&waiting)
    }

    /// Sends documents, and those again for which the key had no tokens left.
    fn send(&mut self, documents: &[(Place, String)]) -> Result<()> {
        let mut left = self.send_once(documents, true)?;
        let mut waits = 0;
        while !left.is_empty() {
            self.bar.set_message("waiting for the budget of the key");
            std::thread::sleep(BUDGET_WAIT);
            waits += 1;
            let before = left.len();
            left = self.send_once(&left, waits < MAX_BUDGET_WAITS)?;
            if left.len() < before {
                waits = 0;
            }
        }
        Ok(())
    }

    /// Sends documents; a busy service is asked again after the time it names. A request that is too
    /// large for the service is sent in halves, so that a document that is fails alone. Returns those to be sent
    /// again, if that is asked for; otherwise they have failed.
    fn send_once(
        &mut self,
        documents: &[(Place, String)],
        again: bool,
    ) -> Result<Vec<(Place, String)>> {
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        let body: String = documents
            .iter()
            .flat_map(|(_, json)| [json, "\n"])
            .collect();
        for attempt in 1.. {
            match self
                .service
                .post_lines(body.as_bytes(), self.allows_duplicates)
            {
                Ok(answers) => return self.read(documents, answers, again),
                Err(ServiceError::Busy { retry_after, .. }) if attempt < MAX_ATTEMPTS => {
                    std::thread::sleep(retry_after);
                }
                Err(error @ ServiceError::Refused { status: 413, .. }) => {
                    if let [(place, _)] = documents {
                        self.failed(place, error.to_string());
                        break;
                    }
                    let (first, second) = documents.split_at(documents.len() / 2);
                    // One after the other, also what waits: a document of the second may have the id of one of the first.
                    self.send(first)?;
                    self.send(second)?;
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Vec::new())
    }

    fn read(
        &mut self,
        documents: &[(Place, String)],
        answers: impl Iterator<Item = std::io::Result<String>>,
        again: bool,
    ) -> Result<Vec<(Place, String)>> {
        let (mut answered, mut left) = (0, Vec::new());
        let last_of_id = LazyCell::new(|| last_of_id(documents));
        for answer in answers {
            let answer = answer.context(
                "the connection to the service broke; run the command again to continue",
            )?;
            let answer: Answer = serde_json::from_str(&answer)?;
            if let (None, Some(problem)) = (answer.line, &answer.error) {
                bail!("the service ended the stream: {}", problem.detail);
            }
            let line = answer.line.and_then(|line| line.checked_sub(1));
            let Some((line, document)) = line.and_then(|line| Some((line, documents.get(line)?)))
            else {
                continue;
            };
            answered += 1;
            // A later one of its id counts, and must not be replaced by this one.
            if again && answer.is_over_budget() && last_of_id.contains(&line) {
                left.push(document.clone());
                continue;
            }
            self.answered(&document.0, answer);
            let counts = self.account.documents;
            let stored = counts.created + counts.updated + counts.unchanged;
            self.bar.set_message(format!("{stored} documents"));
        }
        if answered < documents.len() {
            bail!("the service ended the stream early; run the command again to continue");
        }
        Ok(left)
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
            (Some("rejected"), _) => self.rejected(place, answer.duplicate_of),
            (status, _) => self.failed(place, format!("the service answered {status:?}")),
        }
        for warning in answer.warnings {
            self.warned(place, warning.detail);
        }
    }

    /// Notes that a document was kept out, as the collection wants it, and tells it.
    fn rejected(&mut self, place: &Place, duplicate_of: Option<DuplicateOf>) {
        self.account
            .count(&place.file, |counts| counts.rejected += 1);
        if let Some(DuplicateOf { id, score }) = duplicate_of {
            let reason =
                format!("not stored: {id:?} is nearly the same, with a score of {score:.4}");
            self.tell(place, &Entry::new(place, reason).to_string());
        }
    }

    /// Notes that something was not stored, and tells it.
    pub(crate) fn failed(&mut self, place: &Place, reason: impl Into<String>) {
        let entry = Entry::new(place, reason);
        self.tell(place, &entry.to_string());
        self.account.fail(entry);
    }

    /// Notes something to know about what was stored, and tells it.
    pub(crate) fn warned(&mut self, place: &Place, reason: impl Into<String>) {
        let reason = reason.into();
        self.tell(
            place,
            &Entry::new(place, format!("warning: {reason}")).to_string(),
        );
        self.account.warnings.push(Entry::new(place, reason));
    }

    fn tell(&mut self, place: &Place, sentence: &str) {
        let of_file = self.told.files.entry(Arc::clone(&place.file)).or_default();
        *of_file += 1;
        self.told.all += 1;
        let file = &place.file;
        if self.told.all > MAX_SHOWN {
            if self.told.all == MAX_SHOWN + 1 {
                self.bar
                    .suspend(|| eprintln!("further problems are only counted"));
            }
        } else if *of_file <= MAX_SHOWN_OF_FILE {
            self.bar.suspend(|| eprintln!("{sentence}"));
        } else if *of_file == MAX_SHOWN_OF_FILE + 1 {
            self.bar
                .suspend(|| eprintln!("{file}: further problems are only counted"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_documents_with_one_id_the_last_is_sent_again() {
        let documents = [
            r#"{"id":"a"}"#,
            r#"{"text":"x"}"#,
            r#"{"id":"a"}"#,
            r#"{"id":"b"}"#,
        ];
        let documents = documents.map(|json| (Place::new("f", None), json.to_owned()));
        assert_eq!(last_of_id(&documents), HashSet::from([1, 2, 3]));
    }
}
