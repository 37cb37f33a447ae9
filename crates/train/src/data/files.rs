//! Files of examples.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use fs_err::File;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::TrainingData;
use super::columns::{Labels, example};
use crate::Error;

/// Bytes of a line or row.
const MAX_LINE_BYTES: u64 = 1 << 20;
/// Rows of all files. Every text is held in memory, so it takes about as much as the files are long.
const MAX_EXAMPLES: usize = 10_000_000;

/// Reads examples from JSON lines and, where a name ends with `.csv`, tables of comma-separated values with a
/// header.
///
/// # Errors
/// A file that cannot be read, a row that is no example or of another kind than those before it, or no rows.
pub fn read(paths: &[PathBuf]) -> Result<TrainingData, Error> {
    let mut data = TrainingData::default();
    let (mut labels, mut hash) = (Labels::new(), Sha256::new());
    for path in paths {
        let mut add = |line: u64, row: Result<Map<String, Value>, String>| {
            let added = row
                .and_then(|row| example(&row, &mut data.texts, &mut labels))
                .and_then(|example| data.examples.push(example))
                .and_then(|()| match data.examples.len() <= MAX_EXAMPLES {
                    true => Ok(()),
                    false => Err(format!("there are more than {MAX_EXAMPLES} rows")),
                });
            added.map_err(|reason| Error::Data {
                path: path.clone(),
                line,
                reason,
            })
        };
        let is_table = path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("csv"));
        match is_table {
            true => rows(path, &mut hash, &mut add)?,
            false => lines(path, &mut hash, &mut add)?,
        }
    }
    if data.examples.is_empty() {
        return Err(Error::Examples(
            "there are no examples in the files".to_owned(),
        ));
    }
    let mut names: Vec<(String, u32)> = labels.into_iter().collect();
    names.sort_unstable_by_key(|(_, number)| *number);
    data.labels = names.into_iter().map(|(name, _)| name).collect();
    for byte in hash.finalize() {
        // Writing to a string does not fail.
        let _ = write!(data.hash, "{byte:02x}");
    }
    Ok(data)
}

type Add<'a> = &'a mut dyn FnMut(u64, Result<Map<String, Value>, String>) -> Result<(), Error>;

fn lines(path: &Path, hash: &mut Sha256, add: Add<'_>) -> Result<(), Error> {
    let mut file = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = (&mut file)
            .take(MAX_LINE_BYTES + 1)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        hash.update(&line);
        if read as u64 > MAX_LINE_BYTES {
            add(
                number,
                Err(format!("the line has more than {MAX_LINE_BYTES} bytes")),
            )?;
        }
        if !line.trim_ascii().is_empty() {
            let object = serde_json::from_slice(&line);
            add(
                number,
                object.map_err(|error| format!("it is no JSON object: {error}")),
            )?;
        }
    }
    Ok(())
}

/// Passes on what it reads, and adds it to a hash.
struct Hashed<'a, R> {
    inner: R,
    hash: &'a mut Sha256,
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

fn rows(path: &Path, hash: &mut Sha256, add: Add<'_>) -> Result<(), Error> {
    let file = Hashed {
        inner: File::open(path)?,
        hash,
    };
    let mut table = csv::Reader::from_reader(file);
    let unreadable = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        Error::Data {
            path: path.to_owned(),
            line,
            reason: error.to_string(),
        }
    };
    let header = table.headers().map_err(unreadable)?.clone();
    let mut record = csv::StringRecord::new();
    while table.read_record(&mut record).map_err(unreadable)? {
        let line = record.position().map_or(1, csv::Position::line);
        let values = record.iter().map(|value| Value::String(value.to_owned()));
        let row = header.iter().map(str::to_owned).zip(values).collect();
        add(line, Ok(row))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Examples;

    fn read_file(name: &str, content: &str) -> Result<TrainingData, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs_err::write(&path, content).unwrap();
        read(&[path])
    }

    #[test]
    fn lines_and_tables_say_the_same() {
        let lines = "{\"anchor\": \"a\", \"positive\": \"b, c\"}\n\n{\"anchor\": \"a\", \"positive\": \"d\"}\n";
        let lines = read_file("pairs.jsonl", lines).unwrap();
        let table = read_file("pairs.csv", "anchor,positive\na,\"b, c\"\na,d\n").unwrap();
        assert_eq!(lines.examples, table.examples);
        assert_eq!(lines.texts.len(), 3);
        assert_eq!(lines.texts.text(1), "b, c");
        assert!(lines.hash.len() == 64 && lines.hash != table.hash);
        let table = read_file("pairs.csv", "sentence1,sentence2,score\na,b,0.5\n").unwrap();
        assert!(matches!(table.examples, Examples::Scored(pairs) if pairs[0].score == 0.5));
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        let error = read_file(
            "pairs.jsonl",
            "{\"anchor\": \"a\", \"positive\": \"b\"}\n{\"anchor\": \"\"}\n",
        );
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("pairs.jsonl:2: a row needs the columns"),
            "{error}"
        );
        let error = read_file("pairs.csv", "anchor,positive\na,b\nc,\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("pairs.csv:3: positive is empty"), "{error}");
        let error = read_file("none.jsonl", "\n").unwrap_err().to_string();
        assert!(error.contains("no examples"), "{error}");
    }
}
