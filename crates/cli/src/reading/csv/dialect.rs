//! How a file separates its columns.

use std::io::Read;

use crate::reading::Utf8File;
use crate::reading::field_names::FieldNames;

/// What spreadsheets write; the first of equals is taken.
const DELIMITERS: [u8; 4] = *b",;\t|";
/// As much of a file as is looked at.
const SAMPLE_BYTES: u64 = 64 << 10;
const SAMPLE_ROWS: usize = 50;

/// What separates the columns and keeps them together, and how many lines stand before the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    /// Whether quotes hold separators and line breaks together.
    pub(super) quotes: bool,
    /// 1 after `sep=;`, the line by which spreadsheets tell each other.
    pub(super) lines_before: u64,
}

impl Dialect {
    /// Recognises the separator unless it was said.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn of(
        file: &Utf8File,
        names: &FieldNames,
        said: Option<u8>,
    ) -> std::io::Result<Self> {
        let mut sample = Vec::new();
        file.reader()?.take(SAMPLE_BYTES).read_to_end(&mut sample)?;
        let (declared, sample) = declared(&sample);
        let recognised = said
            .or(declared)
            .unwrap_or_else(|| recognise(sample, names));
        Ok(Self {
            delimiter: recognised,
            quotes: true,
            lines_before: u64::from(declared.is_some()),
        })
    }
}

/// The separator of a line `sep=;`, and what follows it.
fn declared(sample: &[u8]) -> (Option<u8>, &[u8]) {
    let end = sample.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    let (line, rest) = sample.split_at(end.unwrap_or(sample.len()));
    let line = line
        .strip_prefix(b"\"")
        .and_then(|line| line.strip_suffix(b"\""))
        .unwrap_or(line);
    match line {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] => {
            let rest = rest.strip_prefix(b"\r").unwrap_or(rest);
            (Some(*delimiter), rest.strip_prefix(b"\n").unwrap_or(rest))
        }
        _ => (None, sample),
    }
}

/// A header that names a text decides; then the rows that are as long as the header, then its length.
fn recognise(sample: &[u8], names: &FieldNames) -> u8 {
    let mut best = (b',', (false, 0, 0));
    for delimiter in DELIMITERS {
        let merit = merit(sample, names, delimiter);
        if merit > best.1 {
            best = (delimiter, merit);
        }
    }
    best.0
}

fn merit(sample: &[u8], names: &FieldNames, delimiter: u8) -> (bool, usize, usize) {
    let mut rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(sample)
        .into_byte_records()
        .filter_map(Result::ok);
    let header = rows.next().unwrap_or_default();
    let cells: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
    let cells: Vec<_> = cells.iter().map(AsRef::as_ref).collect();
    if cells.len() < 2 {
        return (names.find(&cells).text.is_some(), 0, 0);
    }
    let alike = rows
        .take(SAMPLE_ROWS)
        .filter(|row| row.len() == header.len())
        .count();
    (names.find(&cells).text.is_some(), alike, header.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::ReadOptions;

    fn recognised(sample: &str) -> char {
        let (declared, rest) = declared(sample.as_bytes());
        let names = FieldNames::new(&ReadOptions::default());
        char::from(declared.unwrap_or_else(|| recognise(rest, &names)))
    }

    #[test]
    fn the_separator_is_recognised() {
        for (sample, delimiter) in [
            ("id,text\n1,a; b; c\n", ','),
            ("id;text\n1;a, b, c\n2;d, e\n", ';'),
            ("id\ttext\n1\ta, b; c\n", '\t'),
            ("id|text\n1|a\n", '|'),
            ("text\na, b\nc; d\n", ','),
            ("\"id\";\"text\"\r\n\"1\";\"a, \"\"b\"\"\nc\"\r\n", ';'),
            ("nr;satz\n1;Hallo, Welt\n2;Na, du\n", ';'),
            ("sep=;\nid;text\n", ';'),
            ("\"sep=\t\"\r\nid\ttext\n", '\t'),
            ("", ','),
        ] {
            assert_eq!(recognised(sample), delimiter, "{sample}");
        }
    }
}
