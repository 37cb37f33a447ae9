//! Files as documents: what a folder holds, and how each kind of file is read.
//!
//! Readers yield one document at a time, so that a file of any size is read in bounded memory.

mod csv_file;
mod files;
mod json_lines;
mod text_file;

use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};

pub(crate) use files::{SourceFile, find};

/// A document as it will be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    /// Where it came from: a line of its file, counted from 1.
    pub(crate) line: u64,
    /// The JSON object to send.
    pub(crate) json: Map<String, Value>,
}

/// Documents of one file; a bad one is an error of its own, with its line.
pub(crate) type Documents = Box<dyn Iterator<Item = Result<Document, BadDocument>>>;

/// A part of a file that is no document.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct BadDocument {
    /// The line where it stands.
    pub(crate) line: u64,
    /// What is wrong with it.
    pub(crate) reason: String,
}

/// The kinds of files that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// One JSON object a line.
    JsonLines,
    /// A header with the columns `id`, `title` and `text`; others become metadata.
    Csv,
    /// Plain text, one document a file.
    Text,
    /// Markdown, one document a file; its first heading is the title.
    Markdown,
}

impl FileKind {
    /// The kind that a file's name says.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "jsonl" | "ndjson" => Self::JsonLines,
            "csv" => Self::Csv,
            "txt" | "text" => Self::Text,
            "md" | "markdown" => Self::Markdown,
            _ => return None,
        })
    }
}

/// Reads the documents of a file.
///
/// # Errors
/// When it cannot be opened, or has no column of texts.
pub(crate) fn read(file: &SourceFile) -> Result<Documents> {
    match file.kind {
        FileKind::JsonLines => json_lines::read(&file.path),
        FileKind::Csv => csv_file::read(&file.path),
        FileKind::Text => text_file::read(file, false),
        FileKind::Markdown => text_file::read(file, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_says_how_it_is_read() {
        assert_eq!(
            FileKind::of(Path::new("a/B.JSONL")),
            Some(FileKind::JsonLines)
        );
        assert_eq!(
            FileKind::of(Path::new("notes.md")),
            Some(FileKind::Markdown)
        );
        assert_eq!(FileKind::of(Path::new("photo.png")), None);
        assert_eq!(FileKind::of(Path::new("Makefile")), None);
    }
}
