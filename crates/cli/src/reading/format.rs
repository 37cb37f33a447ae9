//! The kinds of files that are read.

use std::path::Path;

use clap::ValueEnum;

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line
    Jsonl,
    /// A JSON array of objects, or objects one after the other
    Json,
    /// A header and rows, separated by commas, semicolons, tabs or bars
    Csv,
    /// Plain text
    Text,
    /// Markdown (CommonMark), with front matter
    Markdown,
    /// A web page
    Html,
    /// PDF, one document a page
    Pdf,
}

/// What file names end in, for people.
pub(crate) const ENDINGS: &str = ".jsonl .ndjson .json .csv .tsv .txt .md .html .pdf";

impl Format {
    /// The kind that a file's name says.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match ending.as_str() {
            "jsonl" | "ndjson" | "jsonlines" => Self::Jsonl,
            "json" => Self::Json,
            "csv" | "tsv" | "tab" => Self::Csv,
            "txt" | "text" => Self::Text,
            "md" | "markdown" | "mdown" | "mkd" => Self::Markdown,
            "html" | "htm" | "xhtml" => Self::Html,
            "pdf" => Self::Pdf,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_says_how_it_is_read() {
        for (name, format) in [
            ("a/B.JSONL", Some(Format::Jsonl)),
            ("notes.md", Some(Format::Markdown)),
            ("table.tsv", Some(Format::Csv)),
            ("page.HTM", Some(Format::Html)),
            ("photo.png", None),
            ("Makefile", None),
            (".csv", None),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }

    #[test]
    fn every_ending_that_people_are_told_of_is_read() {
        for ending in ENDINGS.split(' ') {
            assert!(
                Format::of(Path::new(&format!("a{ending}"))).is_some(),
                "{ending}"
            );
        }
    }
}
