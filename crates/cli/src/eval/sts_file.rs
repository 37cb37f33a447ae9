//! Pairs of sentences with a score from people: the STS benchmark's files, and plain TSV or CSV.

use std::path::Path;

use anyhow::{Context, Result, bail};
use csv::StringRecord;

/// Two sentences and how alike people found them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pair {
    pub(crate) score: f64,
    pub(crate) left: String,
    pub(crate) right: String,
}

/// Columns of score and sentences.
#[derive(Debug, Clone, Copy)]
struct Columns {
    score: usize,
    left: usize,
    right: usize,
}

/// The STS benchmark: genre, file, year, id, score, sentence 1, sentence 2, and sources.
const BENCHMARK: Columns = Columns {
    score: 4,
    left: 5,
    right: 6,
};
const PLAIN: Columns = Columns {
    score: 0,
    left: 1,
    right: 2,
};

/// Reads a file: tabs without quotes when its first line has one, whatever the file is called (the
/// benchmark's own is called `.csv`), else commas with quotes. A first line that names `score`, `sentence1` and `sentence2` says where they stand; without it the
/// columns are those of the STS benchmark, or score and two sentences when there are fewer.
///
/// # Errors
/// A file that cannot be read, or a line without a score or with too few columns.
pub(crate) fn read(path: &Path) -> Result<Vec<Pair>> {
    let text = fs_err::read_to_string(path)?;
    let mut reader = table(&text);
    let mut pairs = Vec::new();
    let mut columns = None;
    for record in reader.records() {
        let record = record.with_context(|| path.display().to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        if columns.is_none() {
            columns = named(&record);
            if columns.is_some() {
                continue;
            }
        }
        let columns = *columns.get_or_insert_with(|| by_count(&record));
        let pair = pair(&record, columns);
        pairs.push(pair.with_context(|| format!("{}:{line}", path.display()))?);
    }
    if pairs.is_empty() {
        bail!("{} holds no pairs", path.display());
    }
    Ok(pairs)
}

/// Reads lines of columns: between tabs without quotes when the first line has one, else as CSV.
pub(crate) fn table(text: &str) -> csv::Reader<&[u8]> {
    let has_tabs = text.lines().next().is_some_and(|line| line.contains('\t'));
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(if has_tabs { b'\t' } else { b',' })
        .quoting(!has_tabs)
        .from_reader(text.as_bytes())
}

fn named(header: &StringRecord) -> Option<Columns> {
    let place = |names: [&str; 2]| {
        let is_named = |column: &str| names.iter().any(|name| column.trim() == *name);
        header.iter().position(is_named)
    };
    Some(Columns {
        score: place(["score", "label"])?,
        left: place(["sentence1", "s1"])?,
        right: place(["sentence2", "s2"])?,
    })
}

fn by_count(record: &StringRecord) -> Columns {
    if record.len() > BENCHMARK.right {
        BENCHMARK
    } else {
        PLAIN
    }
}

fn pair(record: &StringRecord, columns: Columns) -> Result<Pair> {
    let column = |place: usize| record.get(place).context("there are too few columns");
    let score = column(columns.score)?.trim();
    Ok(Pair {
        score: score
            .parse()
            .with_context(|| format!("{score:?} is no score"))?,
        left: column(columns.left)?.to_owned(),
        right: column(columns.right)?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(name: &str, text: &str) -> Result<Vec<Pair>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs_err::write(&path, text).unwrap();
        read(&path)
    }

    fn pair(score: f64, left: &str, right: &str) -> Pair {
        let (left, right) = (left.to_owned(), right.to_owned());
        Pair { score, left, right }
    }

    #[test]
    fn the_benchmarks_lines_are_read_without_quoting() {
        let text = "main\tnews\t2012\t1\t4.500\tA \"b\tc, d\tsource\n";
        assert_eq!(
            pairs("dev.csv", text).unwrap(),
            [pair(4.5, "A \"b", "c, d")]
        );
    }

    #[test]
    fn plain_files_have_a_score_and_two_sentences() {
        assert_eq!(pairs("a.tsv", "1\tb\tc\n").unwrap(), [pair(1.0, "b", "c")]);
        assert_eq!(
            pairs("a.csv", "1,\"b, b\",c\n").unwrap(),
            [pair(1.0, "b, b", "c")]
        );
    }

    #[test]
    fn a_header_says_where_the_columns_stand() {
        let text = "sentence1,sentence2,score\nb,c,2\n";
        assert_eq!(pairs("a.csv", text).unwrap(), [pair(2.0, "b", "c")]);
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = pairs("a.tsv", "1\tb\tc\nx\ty\tz\n").unwrap_err();
        assert!(format!("{error:#}").contains("a.tsv:2"), "{error:#}");
        assert!(pairs("a.tsv", "").is_err());
    }
}
