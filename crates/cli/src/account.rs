//! The account of what became of people's files: counted, and each failure by file and line.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;

/// Entries that one list of an account keeps; what is more is counted.
const MAX_ENTRIES: usize = 100_000;

/// Documents by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// New.
    pub(crate) created: u64,
    /// Changed.
    pub(crate) updated: u64,
    /// As they were.
    pub(crate) unchanged: u64,
    /// Not stored, since the collection keeps out what resembles others.
    pub(crate) rejected: u64,
    /// Refused, or no documents at all.
    pub(crate) failed: u64,
}

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Place {
    /// What people call the file.
    pub(crate) file: Arc<str>,
    /// From 1; `None` when it is the whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
}

/// What happened at a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    file: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    reason: String,
}

/// A list that stays within bounds.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Entries {
    /// All of them, those left out as well.
    count: u64,
    list: Vec<Entry>,
}

/// Everything that is told at the end of a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Account {
    /// Documents of all files.
    pub(crate) documents: Counts,
    /// Documents of each file.
    files: BTreeMap<Arc<str>, Counts>,
    /// What was not stored.
    pub(crate) failed: Entries,
    /// What was stored and is perhaps not what was meant.
    pub(crate) warnings: Entries,
    /// Files that were not read.
    pub(crate) skipped: Entries,
    /// Why the run ended before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended_early: Option<String>,
}

impl Place {
    /// A file, or a line of it.
    pub(crate) fn new(file: &str, line: Option<u64>) -> Self {
        let file = file.into();
        Self { file, line }
    }
}

impl Entry {
    /// What people call the file.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// What happened there.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// Something at a place.
    pub(crate) fn new(place: &Place, reason: impl Into<String>) -> Self {
        Self {
            file: Arc::clone(&place.file),
            line: place.line,
            reason: reason.into(),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}", self.file),
            None => write!(formatter, "{}", self.file),
        }
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.file, self.reason),
            None => write!(formatter, "{}: {}", self.file, self.reason),
        }
    }
}

impl Entries {
    /// Entries, those left out as well.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The entries that are kept.
    pub(crate) fn list(&self) -> &[Entry] {
        &self.list
    }

    /// Adds one.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.count += 1;
        if self.list.len() < MAX_ENTRIES {
            self.list.push(entry);
        }
    }
}

impl Account {
    /// Counts a document of a file.
    pub(crate) fn count(&mut self, file: &Arc<str>, count: impl Fn(&mut Counts)) {
        count(&mut self.documents);
        count(self.files.entry(Arc::clone(file)).or_default());
    }

    /// Counts a failure and keeps it.
    pub(crate) fn fail(&mut self, entry: Entry) {
        self.count(&entry.file.clone(), |counts| counts.failed += 1);
        self.failed.push(entry);
    }

    /// Writes the account as JSON.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, mut target: impl Write) -> Result<()> {
        serde_json::to_writer_pretty(&mut target, self)?;
        target.write_all(b"\n")?;
        Ok(target.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_every_failure_by_file_and_line() {
        let mut account = Account::default();
        let place = Place::new("a.csv", Some(7));
        account.count(&place.file, |counts| counts.created += 1);
        account.fail(Entry::new(&place, "broken"));
        account.fail(Entry::new(&Place::new("b.pdf", None), "no PDF"));
        let mut report = Vec::new();
        account.write(&mut report).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        assert_eq!(report["documents"]["failed"], 2);
        assert_eq!(report["files"]["a.csv"]["created"], 1);
        let expected = serde_json::json!([
            {"file": "a.csv", "line": 7, "reason": "broken"}, {"file": "b.pdf", "reason": "no PDF"}]);
        assert_eq!(report["failed"]["list"], expected);
        assert_eq!(account.failed.list()[0].to_string(), "a.csv:7: broken");
    }

    #[test]
    fn lists_are_bounded_and_counted() {
        let mut entries = Entries::default();
        let entry = Entry::new(&Place::new("a", None), "x");
        (0..=MAX_ENTRIES).for_each(|_| entries.push(entry.clone()));
        assert_eq!(entries.count(), MAX_ENTRIES as u64 + 1);
        assert_eq!(entries.list().len(), MAX_ENTRIES);
    }
}
