//! A text file line by line, in bounded memory.

use std::io::{BufRead, BufReader};

use fs_err::File;

use super::Utf8File;
use super::document::Trouble;

/// Bytes of a line, or of a row of several; the service takes a quarter of it by default.
pub(super) const MAX_LINE_BYTES: usize = 16 << 20;

/// A line without its line feed; a carriage return before that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: u64,
    /// UTF-8, unless the file is damaged there.
    pub(super) bytes: Vec<u8>,
}

/// Lines with their numbers. One that is too long is an error of its own, and the next one follows.
#[derive(Debug)]
pub(super) struct Lines {
    source: BufReader<File>,
    number: u64,
    pub(super) end: u8,
    failed: bool,
}

impl Lines {
    /// Reads from the beginning.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(super) fn of(file: &Utf8File) -> std::io::Result<Self> {
        let mut source = file.reader()?;
        let head = source.fill_buf()?;
        // Old spreadsheets of the Mac end lines with a carriage return alone.
        let end = match head.contains(&b'\r') && !head.contains(&b'\n') {
            true => b'\r',
            false => b'\n',
        };
        Ok(Self {
            source,
            number: 0,
            end,
            failed: false,
        })
    }

    /// Yields nothing more.
    pub(super) fn stop(&mut self) {
        self.failed = true;
    }

    /// Reads on to the end of the line; keeps at most [`MAX_LINE_BYTES`]. `None` at the end of the file.
    fn line(&mut self) -> std::io::Result<Option<(Vec<u8>, bool)>> {
        let (mut line, mut any, mut fits) = (Vec::new(), false, true);
        loop {
            let chunk = self.source.fill_buf()?;
            if chunk.is_empty() {
                return Ok(any.then_some((line, fits)));
            }
            any = true;
            let place = chunk.iter().position(|byte| *byte == self.end);
            let part = place.unwrap_or(chunk.len());
            fits &= line.len() + part <= MAX_LINE_BYTES;
            if fits {
                line.extend_from_slice(chunk.get(..part).unwrap_or_default());
            }
            self.source.consume(place.map_or(part, |place| place + 1));
            if place.is_some() {
                return Ok(Some((line, fits)));
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Line, Trouble>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        self.number += 1;
        let number = self.number;
        match self.line() {
            Ok(None) => None,
            Ok(Some((bytes, true))) => Some(Ok(Line { number, bytes })),
            Ok(Some((_, false))) => Some(Err(Trouble::at(number, too_long()))),
            Err(error) => {
                self.failed = true;
                Some(Err(Trouble::at(
                    number,
                    format!("cannot be read on: {error}"),
                )))
            }
        }
    }
}

/// What is said of a line or row that is too long.
pub(super) fn too_long() -> String {
    format!("longer than {} MiB", MAX_LINE_BYTES >> 20)
}

/// What is said of a line that is not UTF-8.
pub(super) fn not_utf8(error: &std::str::Utf8Error) -> String {
    let byte = error.valid_up_to() + 1;
    format!("byte {byte} of the line is not UTF-8; use --encoding if the file is not")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Result<(u64, String), u64>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs_err::write(&path, bytes).unwrap();
        let file = Utf8File::open(&path, None).unwrap();
        let lines = Lines::of(&file).unwrap();
        lines
            .map(|line| match line {
                Ok(line) => {
                    let text = String::from_utf8(line.bytes).unwrap();
                    Ok((line.number, text.trim_end().to_owned()))
                }
                Err(trouble) => Err(trouble.line.unwrap()),
            })
            .collect()
    }

    #[test]
    fn every_kind_of_line_end_is_one() {
        for bytes in [
            &b"a\n\nb\n"[..],
            b"a\r\n\r\nb",
            b"a\r\rb\r",
            b"\xef\xbb\xbfa\n\nb",
        ] {
            let expected = [(1, "a"), (2, ""), (3, "b")].map(|(n, line)| Ok((n, line.to_owned())));
            assert_eq!(lines(bytes), expected);
        }
    }

    #[test]
    fn a_line_that_is_too_long_fails_alone() {
        let long = [vec![b'x'; MAX_LINE_BYTES + 1], b"\nok".to_vec()].concat();
        assert_eq!(lines(&long), [Err(1), Ok((2, "ok".to_owned()))]);
        assert_eq!(
            lines(&long[1..]).iter().filter(|line| line.is_ok()).count(),
            2
        );
    }
}
