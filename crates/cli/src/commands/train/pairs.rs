//! Pairs of texts of a collection of a running service: `siamese train pairs`, and `siamese train --collection`.

use std::io::{BufRead, BufReader, BufWriter, Read, Write, stdout};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use siamese_train::Settings;
use tempfile::NamedTempFile;

use crate::client::{Address, Connection, Problem, Service, collection_name};

/// What the last line begins with when the service could not go on.
const BROKEN_OFF: &[u8] = b"{\"error\":";

/// Which texts belong together.
#[derive(Debug, Clone, clap::Args)]
struct Sources {
    /// Two documents with the same value of this field of the metadata belong together
    #[arg(long, value_name = "FIELD")]
    same: Option<String>,
    /// A field of the metadata that holds the id of another document, which the document belongs to
    #[arg(long, value_name = "FIELD")]
    refers: Option<String>,
    /// Queries and the documents that were useful for them (POST /feedback)
    #[arg(long)]
    feedback: bool,
    /// Pairs at most
    #[arg(long, value_name = "N")]
    max_pairs: Option<usize>,
    /// Pairs at most of one value, of documents that refer to the same one, and of one query; 100 without it
    #[arg(long, value_name = "N")]
    max_pairs_per_value: Option<usize>,
}

/// Write pairs of texts that belong together, as the metadata and the feedback of a collection say
///
/// One pair a line, as JSON that `siamese train --data` reads. Give at least one of --same, --refers and --feedback.
#[derive(Debug, clap::Args)]
pub(super) struct Pairs {
    #[command(flatten)]
    sources: Sources,
    /// The same seed chooses the same pairs
    #[arg(long, value_name = "N", default_value_t = Settings::default().seed)]
    seed: u64,
    #[command(flatten)]
    connection: Connection,
}

/// A collection to learn from, instead of files.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct OfCollection {
    /// Learn from pairs of this collection of a running service; needs --same, --refers or --feedback
    #[arg(long, value_name = "NAME", conflicts_with = "data", value_parser = collection_name)]
    collection: Option<String>,
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    address: Address,
}

impl Sources {
    fn is_empty(&self) -> bool {
        self.same.is_none() && self.refers.is_none() && !self.feedback
    }

    /// The body of `POST /training/pairs`.
    fn request(&self, seed: u64) -> Value {
        let mut request = json!({"feedback": self.feedback, "seed": seed});
        let fields = [("same", &self.same), ("refers", &self.refers)];
        for (name, field) in fields {
            if let Some(field) = field {
                request[name] = json!(field);
            }
        }
        let numbers = [
            ("max_pairs", self.max_pairs),
            ("max_pairs_per_value", self.max_pairs_per_value),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                request[name] = json!(number);
            }
        }
        request
    }
}

impl Pairs {
    pub(super) fn run(self) -> Result<ExitCode> {
        let service = Service::new(&self.connection);
        let lines = service.training_pairs(&self.sources.request(self.seed))?;
        let count = copy(lines, stdout().lock())?;
        eprintln!("{count} pairs");
        Ok(ExitCode::SUCCESS)
    }
}

impl OfCollection {
    /// The pairs in a file of their own, which is removed with what is returned. Nothing when files are given.
    ///
    /// # Errors
    /// When the service refuses, or the file cannot be written.
    pub(super) fn download(&self, seed: u64) -> Result<Option<NamedTempFile>> {
        let Some(collection) = &self.collection else {
            ensure!(
                self.sources.is_empty(),
                "--same, --refers and --feedback go with --collection"
            );
            return Ok(None);
        };
        let service = Service::new(&self.address.collection(collection));
        let lines = service.training_pairs(&self.sources.request(seed))?;
        let mut file = tempfile::Builder::new().suffix(".jsonl").tempfile()?;
        copy(lines, file.as_file_mut())?;
        Ok(Some(file))
    }
}

/// The last line of an answer that breaks off.
#[derive(Deserialize)]
struct BrokenOff {
    error: Problem,
}

/// Copies lines, and returns how many.
fn copy(lines: impl Read, target: impl Write) -> Result<u64> {
    let (mut lines, mut target) = (BufReader::new(lines), BufWriter::new(target));
    let (mut line, mut count) = (Vec::new(), 0);
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line);
        if read.context("the pairs were interrupted")? == 0 {
            target.flush()?;
            return Ok(count);
        }
        if line.starts_with(BROKEN_OFF) {
            let BrokenOff { error } = serde_json::from_slice(&line)?;
            bail!("the pairs were interrupted: {}", error.detail);
        }
        target.write_all(&line)?;
        count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_an_answer_that_breaks_off_is_an_error() {
        let mut written = Vec::new();
        assert_eq!(copy(&b"{}\n{}\n"[..], &mut written).unwrap(), 2);
        assert_eq!(written, b"{}\n{}\n");
        let broken = b"{}\n{\"error\":{\"detail\":\"the disk failed\",\"code\":\"internal\"}}\n";
        let error = copy(&broken[..], &mut written).unwrap_err().to_string();
        assert!(error.contains("the disk failed"), "{error}");
    }
}
