//! The values of a JSON file, one at a time: the elements of an array, or values one after the other.
//!
//! Only brackets, quotes and commas are looked at here, so that a file of any size is read in bounded
//! memory and each value has its line. Whether a value is JSON is for the parser to say.

use std::io::{BufRead, BufReader};

use fs_err::File;

use crate::reading::Utf8File;
use crate::reading::document::Trouble;
use crate::reading::lines::{MAX_LINE_BYTES, too_long};

/// A value and the line where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonValue {
    pub(super) line: u64,
    pub(super) bytes: Vec<u8>,
}

/// Cuts a file into values.
#[derive(Debug)]
pub(super) struct JsonValues {
    source: BufReader<File>,
    line: u64,
    /// The line of the `[` whose elements are being read.
    array: Option<u64>,
    ended: bool,
}

impl JsonValues {
    /// Reads from the beginning.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(super) fn of(file: &Utf8File) -> std::io::Result<Self> {
        Ok(Self {
            source: file.reader()?,
            line: 1,
            array: None,
            ended: false,
        })
    }

    fn peek(&mut self) -> std::io::Result<Option<u8>> {
        Ok(self.source.fill_buf()?.first().copied())
    }

    fn advance(&mut self, byte: u8) {
        self.source.consume(1);
        self.line += u64::from(byte == b'\n');
    }

    fn try_next(&mut self) -> Result<Option<JsonValue>, Trouble> {
        loop {
            let Some(byte) = self.peek()? else {
                return match self.array {
                    Some(line) => Err(Trouble::at(
                        line,
                        "the array that begins here is not closed",
                    )),
                    None => Ok(None),
                };
            };
            match byte {
                // Commas that are missing or too many harm nobody.
                b' ' | b'\t' | b'\r' | b'\n' | b',' => self.advance(byte),
                b'[' if self.array.is_none() => {
                    self.array = Some(self.line);
                    self.advance(byte);
                }
                b']' if self.array.is_some() => {
                    self.array = None;
                    self.advance(byte);
                }
                b']' | b'}' | b':' => {
                    let reason = format!(
                        "unexpected {:?}; the rest of the file was not read",
                        char::from(byte)
                    );
                    return Err(Trouble::at(self.line, reason));
                }
                _ => return self.value().map(Some),
            }
        }
    }

    /// The value that begins with the next byte.
    fn value(&mut self) -> Result<JsonValue, Trouble> {
        let line = self.line;
        let (mut bytes, mut shape, mut fits) = (Vec::new(), Shape::default(), true);
        loop {
            let Some(byte) = self.peek()? else {
                if shape.is_open() {
                    return Err(Trouble::at(
                        line,
                        "the value that begins here is not closed",
                    ));
                }
                break;
            };
            if shape.ends_before(byte) {
                break;
            }
            shape.see(byte);
            fits &= bytes.len() < MAX_LINE_BYTES;
            if fits {
                bytes.push(byte);
            }
            self.advance(byte);
            if shape.has_ended {
                break;
            }
        }
        if fits {
            Ok(JsonValue { line, bytes })
        } else {
            Err(Trouble::at(line, too_long()))
        }
    }
}

impl Iterator for JsonValues {
    type Item = Result<JsonValue, Trouble>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.try_next().transpose();
        // Where a value begins is not known any more, unless one was only too long.
        self.ended = matches!(&next, Some(Err(trouble)) if trouble.reason != too_long());
        next
    }
}

/// How deep in a value a reader is.
#[derive(Debug, Default)]
struct Shape {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    has_begun: bool,
    has_ended: bool,
}

impl Shape {
    fn see(&mut self, byte: u8) {
        if self.in_string {
            if self.is_escaped {
                self.is_escaped = false;
            } else if byte == b'\\' {
                self.is_escaped = true;
            } else if byte == b'"' {
                self.in_string = false;
                self.has_ended = self.depth == 0;
            }
        } else {
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.has_ended = self.depth == 0;
                }
                _ => {}
            }
        }
        self.has_begun = true;
    }

    /// Returns whether a number or a word ends before `byte`.
    fn ends_before(&self, byte: u8) -> bool {
        let is_bare = self.has_begun && self.depth == 0 && !self.in_string;
        is_bare
            && matches!(
                byte,
                b',' | b']' | b'}' | b'{' | b'[' | b'"' | b' ' | b'\t' | b'\r' | b'\n'
            )
    }

    fn is_open(&self) -> bool {
        self.depth > 0 || self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(json: &str) -> Vec<Result<(u64, String), u64>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        fs_err::write(&path, json).unwrap();
        let file = Utf8File::open(&path, None).unwrap();
        JsonValues::of(&file)
            .unwrap()
            .map(|value| match value {
                Ok(value) => Ok((value.line, String::from_utf8(value.bytes).unwrap())),
                Err(trouble) => Err(trouble.line.unwrap()),
            })
            .collect()
    }

    #[test]
    fn arrays_lines_and_objects_in_a_row_are_cut_into_values() {
        let one = r#"{"a": "]}\"\\"}"#;
        let expected = |lines: [u64; 2]| {
            [
                Ok((lines[0], one.to_owned())),
                Ok((lines[1], "2".to_owned())),
            ]
        };
        assert_eq!(values(&format!("[\n{one},\n 2\n]\n")), expected([2, 3]));
        assert_eq!(values(&format!("{one}\n2")), expected([1, 2]));
        assert_eq!(values(&format!("{one} 2")), expected([1, 1]));
        assert_eq!(values("[]"), []);
        assert_eq!(
            values("[[1], \"x\"]"),
            [Ok((1, "[1]".to_owned())), Ok((1, "\"x\"".to_owned()))]
        );
    }

    #[test]
    fn a_file_that_breaks_off_is_told_with_the_line() {
        assert_eq!(values("[\n1,\n{\"a\":"), [Ok((2, "1".to_owned())), Err(3)]);
        assert_eq!(values("[\n1,"), [Ok((2, "1".to_owned())), Err(1)]);
        assert_eq!(values("1\n}\n2"), [Ok((1, "1".to_owned())), Err(2)]);
    }
}
