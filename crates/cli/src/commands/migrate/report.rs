//! What a move came to.

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use super::comparison::Difference;
use super::held::Counts;

/// Documents that differ and are named in the text; JSON has all of them.
const MAX_NAMED: usize = 5;

/// What a move came to.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) collections: Vec<CollectionReport>,
    /// Aliases that were set.
    pub(super) aliases: usize,
    /// What could not be moved, in sentences.
    stays: Vec<String>,
}

/// What moving one collection came to.
#[derive(Debug, Serialize)]
pub(super) struct CollectionReport {
    pub(super) name: String,
    /// Documents that were not there yet as they are here.
    pub(super) written: u64,
    pub(super) source: Counts,
    pub(super) target: Counts,
    /// Documents that were compared with their vectors.
    pub(super) compared: usize,
    pub(super) differences: Vec<Difference>,
}

impl Report {
    /// Adds sentences about what could not be moved.
    pub(super) fn note(&mut self, stays: Vec<String>) {
        self.stays.extend(stays);
    }

    /// Tells people or programs.
    ///
    /// # Errors
    /// When nothing can be written.
    pub(super) fn print(&self, json: bool) -> Result<ExitCode> {
        let mut out = stdout();
        if json {
            writeln!(out, "{}", serde_json::to_string(self)?)?;
        } else {
            for collection in &self.collections {
                writeln!(out, "{}", collection.sentence())?;
            }
            if self.aliases > 0 {
                writeln!(out, "{} aliases", self.aliases)?;
            }
        }
        for sentence in &self.stays {
            eprintln!("not moved: {sentence}");
        }
        let is_complete = self.collections.iter().all(CollectionReport::is_complete);
        Ok(match is_complete {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

impl CollectionReport {
    fn is_complete(&self) -> bool {
        self.source == self.target && self.differences.is_empty()
    }

    fn sentence(&self) -> String {
        let Self {
            name,
            written,
            source,
            target,
            compared,
            ..
        } = self;
        let mut sentence = format!(
            "{name}: {} documents with {} passages, {written} of them written now; {compared} compared, ",
            source.documents, source.passages
        );
        match self.differences.len() {
            0 => sentence += "all the same",
            differing => {
                sentence += &format!("{differing} DIFFER:");
                for Difference { id, what } in self.differences.iter().take(MAX_NAMED) {
                    sentence += &format!(" {id:?} ({what})");
                }
            }
        }
        if source != target {
            sentence += &format!(
                "; THE COUNTS DIFFER: there are {} documents with {} passages where they are to be",
                target.documents, target.passages
            );
        }
        sentence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> CollectionReport {
        let counts = Counts {
            documents: 3,
            passages: 4,
        };
        CollectionReport {
            name: "c".to_owned(),
            written: 2,
            source: counts,
            target: counts,
            compared: 3,
            differences: Vec::new(),
        }
    }

    #[test]
    fn a_move_is_complete_when_counts_and_sample_agree() {
        let mut moved = report();
        assert!(moved.is_complete());
        assert_eq!(
            moved.sentence(),
            "c: 3 documents with 4 passages, 2 of them written now; 3 compared, all the same"
        );
        moved.target.passages = 5;
        assert!(!moved.is_complete());
        assert!(moved.sentence().contains("5 passages where they are to be"));
        moved = report();
        moved.differences.push(Difference {
            id: "a".to_owned(),
            what: "vectors",
        });
        assert!(!moved.is_complete());
        assert!(moved.sentence().ends_with("1 DIFFER: \"a\" (vectors)"));
    }
}
