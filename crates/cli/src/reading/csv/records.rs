//! Rows of a CSV file. A row whose quotes are out of order fails alone.
//!
//! The parser of the `csv` crate takes a row apart; where a row ends is found here. A quote that is never closed
//! makes one field of all that follows, which it reads as such: what follows would be lost,
//! and take memory without a limit.

use std::collections::VecDeque;

use csv::StringRecord;
use csv_core::ReadRecordResult;

use super::dialect::Dialect;
use crate::reading::Utf8File;
use crate::reading::document::Trouble;
use crate::reading::lines::{Line, Lines, MAX_LINE_BYTES, not_utf8, too_long};

/// Bytes that are read once more after quotes that are out of order, in one file.
const MAX_REREAD_BYTES: usize = 1 << 30;

/// Memory of a line beside its bytes, so that a million short lines after a quote are bounded, too.
const LINE_OVERHEAD_BYTES: usize = 64;

/// A row that is not blank.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The line where it begins.
    pub(super) line: u64,
    pub(super) fields: StringRecord,
    /// Whether something other than a separator follows a quote that closes.
    pub(super) has_odd_quotes: bool,
}

/// The rows of a file, the header included.
#[derive(Debug)]
pub(super) struct Records {
    lines: Lines,
    delimiter: u8,
    /// Whether quotes are more than characters.
    quotes: bool,
    parser: csv_core::Reader,
    /// Lines to read again.
    pending: VecDeque<Result<Line, Trouble>>,
    reread_bytes: usize,
}

/// Lines that make a row, as far as their quotes tell.
enum Row {
    Whole(Vec<Line>, Quotes),
    /// Its quotes are out of order.
    Broken(Vec<Line>),
    /// It is longer than a row may be.
    TooLong(Vec<Line>),
}

impl Records {
    pub(super) fn of(file: &Utf8File, dialect: Dialect) -> std::io::Result<Self> {
        let mut lines = Lines::of(file)?;
        for _ in 0..dialect.lines_before {
            lines.next();
        }
        Ok(Self {
            lines,
            delimiter: dialect.delimiter,
            parser: csv_core::ReaderBuilder::new()
                .delimiter(dialect.delimiter)
                .quoting(dialect.quotes)
                .build(),
            quotes: dialect.quotes,
            pending: VecDeque::new(),
            reread_bytes: 0,
        })
    }

    /// Returns whether quotes are out of order in some rows and hold a line break in none: then they are
    /// nothing but characters.
    pub(super) fn quotes_mean_nothing(mut self) -> bool {
        let mut any_odd = false;
        while let Some(line) = self.line() {
            let Ok(line) = line else { continue };
            match self.row(line) {
                Row::Whole(lines, _) if lines.len() > 1 => return false,
                Row::Whole(_, quotes) => any_odd |= quotes.are_odd,
                Row::Broken(lines) | Row::TooLong(lines) => {
                    any_odd = true;
                    self.give_up(lines, "");
                }
            }
        }
        any_odd
    }

    fn line(&mut self) -> Option<Result<Line, Trouble>> {
        self.pending.pop_front().or_else(|| self.lines.next())
    }

    /// The lines that belong to a row that begins with `first`.
    fn row(&mut self, first: Line) -> Row {
        let mut quotes = Quotes::new(self.delimiter);
        if !self.quotes {
            return Row::Whole(vec![first], quotes);
        }
        quotes.see(&first.bytes);
        let mut bytes = first.bytes.len();
        let mut lines = vec![first];
        while quotes.is_open() {
            if bytes > MAX_LINE_BYTES {
                return Row::TooLong(lines);
            }
            match self.line() {
                Some(Ok(line)) => {
                    quotes.see(&line.bytes);
                    bytes += line.bytes.len() + LINE_OVERHEAD_BYTES;
                    lines.push(line);
                }
                None => return Row::Broken(lines),
                Some(Err(trouble)) => {
                    self.pending.push_front(Err(trouble));
                    return Row::Broken(lines);
                }
            }
            if quotes.are_odd {
                return Row::Broken(lines);
            }
        }
        Row::Whole(lines, quotes)
    }

    /// Fails the first of the lines, and has the others read as rows of their own.
    fn give_up(&mut self, mut lines: Vec<Line>, reason: &str) -> Trouble {
        let rest = lines.split_off(1);
        let number = lines.first().map_or(0, |line| line.number);
        self.reread_bytes += rest.iter().map(|line| line.bytes.len()).sum::<usize>();
        if self.reread_bytes > MAX_REREAD_BYTES {
            self.pending.clear();
            self.lines.stop();
            return Trouble::at(
                number,
                "too many unclosed quotes; the rest of the file was not read",
            );
        }
        for line in rest.into_iter().rev() {
            self.pending.push_front(Ok(line));
        }
        Trouble::at(number, reason)
    }

    fn record(&mut self, lines: &[Line], has_odd_quotes: bool) -> Result<Record, Trouble> {
        let mut bytes = Vec::new();
        for line in lines {
            if let Err(error) = str::from_utf8(&line.bytes) {
                return Err(Trouble::at(line.number, not_utf8(&error)));
            }
            if !bytes.is_empty() {
                bytes.push(self.lines.end);
            }
            bytes.extend_from_slice(&line.bytes);
        }
        let line = lines.first().map_or(0, |line| line.number);
        match self.fields(&mut bytes) {
            Some(fields) => Ok(Record {
                line,
                fields,
                has_odd_quotes,
            }),
            None => Err(Trouble::at(line, "not a row of CSV")),
        }
    }

    /// Takes a row apart. One parser does so for all rows: to build one takes longer than to run it.
    fn fields(&mut self, row: &mut Vec<u8>) -> Option<StringRecord> {
        let separators = row.iter().filter(|byte| **byte == self.delimiter).count();
        row.push(b'\n');
        let (mut text, mut ends) = (vec![0; row.len()], vec![0; separators + 1]);
        self.parser.reset();
        let (outcome, _, _, fields) = self.parser.read_record(row, &mut text, &mut ends);
        let mut record = StringRecord::with_capacity(text.len(), fields);
        let mut start = 0;
        for end in ends.into_iter().take(fields) {
            record.push_field(str::from_utf8(text.get(start..end)?).ok()?);
            start = end;
        }
        (outcome == ReadRecordResult::Record).then_some(record)
    }
}

impl Iterator for Records {
    type Item = Result<Record, Trouble>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let first = match self.line()? {
                Ok(line) if line.bytes.trim_ascii().is_empty() => continue,
                Ok(line) => line,
                Err(trouble) => return Some(Err(trouble)),
            };
            return Some(match self.row(first) {
                Row::Whole(lines, quotes) => self.record(&lines, quotes.are_odd),
                Row::Broken(lines) => {
                    Err(self.give_up(lines, "a quote is opened and not closed in this row"))
                }
                Row::TooLong(lines) => {
                    let reason = format!(
                        "a quote is opened and not closed, or the row is {}",
                        too_long()
                    );
                    Err(self.give_up(lines, &reason))
                }
            });
        }
    }
}

/// Follows the quotes of a row from line to line, by the rules of the `csv` crate.
#[derive(Debug)]
struct Quotes {
    delimiter: u8,
    place: Place,
    /// Whether something other than a separator follows a quote that closes.
    are_odd: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Plain,
    Quoted,
    /// After a quote within quotes: it closes, or another follows.
    Quote,
}

impl Quotes {
    fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            place: Place::Start,
            are_odd: false,
        }
    }

    fn is_open(&self) -> bool {
        self.place == Place::Quoted
    }

    fn see(&mut self, line: &[u8]) {
        for byte in line.strip_suffix(b"\r").unwrap_or(line) {
            self.place = match (self.place, *byte) {
                (Place::Quoted, b'"') => Place::Quote,
                (Place::Start | Place::Quote, b'"') | (Place::Quoted, _) => Place::Quoted,
                (_, byte) if byte == self.delimiter => Place::Start,
                (Place::Quote, _) => {
                    self.are_odd = true;
                    Place::Plain
                }
                (Place::Start | Place::Plain, _) => Place::Plain,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(csv: &str) -> Vec<Result<(u64, Vec<String>), u64>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs_err::write(&path, csv).unwrap();
        let file = Utf8File::open(&path, None).unwrap();
        let dialect = Dialect {
            delimiter: b',',
            quotes: true,
            lines_before: 0,
        };
        let records = Records::of(&file, dialect).unwrap();
        records
            .map(|record| match record {
                Ok(record) => Ok((
                    record.line,
                    record.fields.iter().map(str::to_owned).collect(),
                )),
                Err(trouble) => Err(trouble.line.unwrap()),
            })
            .collect()
    }

    fn row(line: u64, fields: &[&str]) -> Result<(u64, Vec<String>), u64> {
        Ok((
            line,
            fields.iter().map(|field| (*field).to_owned()).collect(),
        ))
    }

    #[test]
    fn line_breaks_in_quotes_belong_to_the_field_and_lines_are_counted() {
        let expected = [
            row(1, &["a", "b"]),
            row(2, &["1", "x\ny, \"z\""]),
            row(5, &["2", "w"]),
        ];
        assert_eq!(records("a,b\n1,\"x\ny, \"\"z\"\"\"\n\n2,w\n"), expected);
        let windows = records("a,b\r\n1,\"x\ny, \"\"z\"\"\"\r\n\r\n2,w\r\n");
        assert_eq!(windows, expected);
        assert_eq!(
            records("a,b\r1,x\r2,y"),
            [
                row(1, &["a", "b"]),
                row(2, &["1", "x"]),
                row(3, &["2", "y"])
            ]
        );
    }

    #[test]
    fn a_quote_that_is_not_closed_costs_its_own_row_only() {
        for csv in [
            "1,\"x\n2,y\n3,z",
            "1,\"x\n2,\"y\"\n3,z\n",
            "1,\"x\n2,y\n3,\"z\"",
        ] {
            assert_eq!(
                records(csv),
                [Err(1), row(2, &["2", "y"]), row(3, &["3", "z"])],
                "{csv}"
            );
        }
        assert_eq!(records("1,x\n2,\"y"), [row(1, &["1", "x"]), Err(2)]);
    }

    #[test]
    fn quotes_within_a_line_are_read_as_spreadsheets_do() {
        assert_eq!(
            records("1,5\" pipe,\"Big\" bang"),
            [row(1, &["1", "5\" pipe", "Big bang"])]
        );
    }

    #[test]
    fn a_row_that_is_not_utf8_fails_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs_err::write(&path, ["ä,ö\n".as_bytes(), b"x,\xff\ny,z\n"].concat()).unwrap();
        let file = Utf8File::open(&path, None).unwrap();
        let dialect = Dialect {
            delimiter: b',',
            quotes: true,
            lines_before: 0,
        };
        let outcomes = Records::of(&file, dialect)
            .unwrap()
            .map(|record| record.map(|record| record.line));
        let outcomes: Vec<_> = outcomes
            .map(|outcome| outcome.map_err(|trouble| trouble.line))
            .collect();
        assert_eq!(outcomes, [Ok(1), Err(Some(2)), Ok(3)]);
    }
}
