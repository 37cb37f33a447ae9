//! Tells in which encoding a text file is written.
//!
//! A byte order mark decides. Without one, a file that is UTF-8 is UTF-8. What is not is refused with
//! the offset of the first byte at fault, unless it was said what it is, or all signs are of
//! Windows-1252 (and so of Latin-1), by far the most common of what remains.

use std::io::{BufReader, Read};
use std::path::Path;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};
use fs_err::File;

use super::document::Trouble;

/// How a file's bytes become text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recognised {
    /// UTF-8 when `None`.
    pub(super) encoding: Option<&'static Encoding>,
    /// Bytes of the mark before the text.
    pub(super) mark_bytes: u64,
    /// What people should know when it was not plain.
    pub(super) remark: Option<Trouble>,
}

/// Tells the encoding of a file; `said` is what files are in that are not UTF-8.
///
/// # Errors
/// A file that is not text, or in an encoding that is not certain.
pub(super) fn recognise(
    path: &Path,
    said: Option<&'static Encoding>,
) -> Result<Recognised, Trouble> {
    if let Some(marked) = by_mark(path)? {
        return Ok(marked);
    }
    let census = Census::of(path)?;
    let plain = |encoding| Recognised {
        encoding,
        mark_bytes: 0,
        remark: None,
    };
    if census.is_utf16_without_mark() {
        return match said {
            Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => {
                Ok(plain(Some(encoding)))
            }
            _ => Err(Trouble::with_file(
                "not text, or UTF-16 without a byte order mark; use --encoding utf-16le (or utf-16be) if it is",
            )),
        };
    }
    let Some(fault) = census.first_fault else {
        return Ok(plain(None));
    };
    if census.letters > census.faults || (census.letters == census.faults && said.is_none()) {
        // UTF-8 that was damaged. Rows and lines that are not at fault can be read.
        return Ok(plain(None));
    }
    if let Some(said) = said {
        return Ok(plain(Some(said)));
    }
    guessed(path, &census, fault)
}

fn by_mark(path: &Path) -> Result<Option<Recognised>, Trouble> {
    let mut start = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut start)?;
    if start == [0xff, 0xfe, 0, 0] || start == [0, 0, 0xfe, 0xff] {
        return Err(Trouble::with_file(
            "UTF-32 is not supported; save it as UTF-8",
        ));
    }
    let Some((encoding, mark_bytes)) = Encoding::for_bom(&start) else {
        return Ok(None);
    };
    Ok(Some(Recognised {
        encoding: (encoding != encoding_rs::UTF_8).then_some(encoding),
        mark_bytes: mark_bytes as u64,
        remark: None,
    }))
}

/// A position in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fault {
    byte: u64,
    line: u64,
}

/// What stands in a file, counted.
#[derive(Debug, Default)]
struct Census {
    bytes: u64,
    zeros: u64,
    /// Control characters that no text has.
    controls: u64,
    /// Letters of UTF-8 with more than one byte.
    letters: u64,
    /// Bytes that are not UTF-8.
    faults: u64,
    first_fault: Option<Fault>,
    lines: u64,
}

impl Census {
    fn of(path: &Path) -> Result<Self, Trouble> {
        let mut census = Self::default();
        let mut source = BufReader::with_capacity(1 << 16, File::open(path)?);
        let (mut chunk, mut carried) = (vec![0; 1 << 16], Vec::new());
        loop {
            let read = source.read(&mut chunk)?;
            carried.extend_from_slice(chunk.get(..read).unwrap_or_default());
            let is_last = read == 0;
            let counted = census.count(&carried, is_last);
            carried.drain(..counted);
            if is_last {
                return Ok(census);
            }
        }
    }

    /// Counts a chunk and returns how much of it; a letter that may go on in the next is left.
    fn count(&mut self, bytes: &[u8], is_last: bool) -> usize {
        let mut from = 0;
        loop {
            let rest = bytes.get(from..).unwrap_or_default();
            let error = match str::from_utf8(rest) {
                Ok(text) => {
                    self.valid(text);
                    return bytes.len();
                }
                Err(error) => error,
            };
            let (valid, after) = rest.split_at(error.valid_up_to());
            // Checked once more, which is cheap where faults are rare.
            self.valid(str::from_utf8(valid).unwrap_or_default());
            let faulty = match error.error_len() {
                Some(length) => length,
                None if is_last => after.len(),
                None => return bytes.len() - after.len(),
            };
            self.fault(after.get(..faulty).unwrap_or_default());
            from += valid.len() + faulty;
        }
    }

    fn valid(&mut self, text: &str) {
        self.bytes += text.len() as u64;
        for byte in text.bytes() {
            match byte {
                0 => self.zeros += 1,
                b'\n' => self.lines += 1,
                1..=8 | 14..=26 | 28..=31 => self.controls += 1,
                // The first byte of a letter of several.
                0xc0.. => self.letters += 1,
                _ => {}
            }
        }
    }

    fn fault(&mut self, bytes: &[u8]) {
        self.first_fault.get_or_insert(Fault {
            byte: self.bytes,
            line: self.lines + 1,
        });
        self.bytes += bytes.len() as u64;
        self.faults += bytes.len() as u64;
    }

    fn is_utf16_without_mark(&self) -> bool {
        // English in UTF-16 has a zero in every second byte, other scripts in line ends and blanks.
        self.zeros * 10 > self.bytes
    }

    fn is_binary(&self) -> bool {
        self.zeros > 0 || self.controls > 0
    }
}

/// The encoding by its letters, when it is Windows-1252.
fn guessed(path: &Path, census: &Census, fault: Fault) -> Result<Recognised, Trouble> {
    let place = format!("byte {} is not UTF-8", fault.byte);
    let guess = if census.is_binary() {
        None
    } else {
        guess(path)?
    };
    let refused = match guess {
        Some(guess) if guess == WINDOWS_1252 => {
            let remark = format!(
                "{place}; the file was read as windows-1252 (use --encoding if it is something else)"
            );
            return Ok(Recognised {
                encoding: Some(guess),
                mark_bytes: 0,
                remark: Some(Trouble::at(fault.line, remark)),
            });
        }
        Some(guess) => {
            let name = guess.name();
            format!(
                "{place}; it looks like {name}: use --encoding {} if it is",
                name.to_lowercase()
            )
        }
        None => format!("{place}, and the file does not look like text; use --encoding if it is"),
    };
    Err(Trouble::at(fault.line, refused))
}

/// The most likely encoding of a file that is not UTF-8; `None` when it has bytes that mean nothing in it.
fn guess(path: &Path) -> Result<Option<&'static Encoding>, Trouble> {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let mut source = File::open(path)?;
    let (mut chunk, mut seen) = (vec![0; 1 << 16], [false; 256]);
    loop {
        let read = source.read(&mut chunk)?;
        let bytes = chunk.get(..read).unwrap_or_default();
        detector.feed(bytes, read == 0);
        bytes
            .iter()
            .for_each(|byte| seen[usize::from(*byte)] = true);
        if read == 0 {
            break;
        }
    }
    let guess = detector.guess(None, Utf8Detection::Deny);
    // Turkish, Baltic and others share most letters with Windows-1252. Which of them a short text is in
    // cannot be told, and does not matter when it reads the same.
    let letters = (0x80..=u8::MAX).filter(|byte| seen[usize::from(*byte)]);
    let reads_the_same = letters.into_iter().all(|byte| {
        let read = |encoding: &'static Encoding| {
            encoding.decode_without_bom_handling(&[byte]).0.into_owned()
        };
        read(guess) == read(WINDOWS_1252)
    });
    let guess = if reads_the_same { WINDOWS_1252 } else { guess };
    let means_nothing = [0x81, 0x8d, 0x8f, 0x90, 0x9d]
        .iter()
        .any(|byte| seen[*byte]);
    Ok((guess != WINDOWS_1252 || !means_nothing).then_some(guess))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(bytes: &[u8]) -> Result<Recognised, Trouble> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs_err::write(&path, bytes).unwrap();
        recognise(&path, None)
    }

    #[test]
    fn a_byte_order_mark_decides() {
        for (bytes, encoding, mark) in [
            (&b"\xef\xbb\xbfa"[..], None, 3),
            (b"\xff\xfea\0", Some(UTF_16LE), 2),
            (b"\xfe\xff\0a", Some(UTF_16BE), 2),
        ] {
            let recognised = outcome(bytes).unwrap();
            assert_eq!(
                (recognised.encoding, recognised.mark_bytes),
                (encoding, mark)
            );
        }
        assert!(
            outcome(b"\xff\xfe\0\0a\0\0\0")
                .unwrap_err()
                .reason
                .contains("UTF-32")
        );
    }

    #[test]
    fn utf8_is_utf8_wherever_its_letters_are_cut() {
        for length in [(1 << 16) - 1, 1 << 16, (1 << 16) + 1] {
            let text = format!("{}ä€𝄞", "x".repeat(length - 2));
            assert_eq!(outcome(text.as_bytes()).unwrap().encoding, None);
        }
        assert_eq!(outcome(b"").unwrap().encoding, None);
    }

    #[test]
    fn windows_1252_is_recognised_and_told_with_its_place() {
        let text = b"Name\nM\xfcller wohnt in der Stra\xdfe \x84Am Weiher\x93, f\xfcr 5 \x80\n";
        let recognised = outcome(text).unwrap();
        assert_eq!(recognised.encoding, Some(WINDOWS_1252));
        let remark = recognised.remark.unwrap();
        assert_eq!(remark.line, Some(2));
        assert!(remark.reason.contains("byte 6"), "{remark}");
        for text in [
            "Café",
            "Straße",
            "señor",
            "Ærø",
            "Méller & Séhne",
            "naïve façade",
            "text\ngrün\n",
        ] {
            let (latin, _, _) = WINDOWS_1252.encode(text);
            assert_eq!(
                outcome(&latin).unwrap().encoding,
                Some(WINDOWS_1252),
                "{text}"
            );
        }
    }

    #[test]
    fn other_encodings_are_refused_by_name_and_place() {
        let (japanese, _, _) =
            encoding_rs::SHIFT_JIS.encode("日本語の文章です。今日は天気がいい。");
        let trouble = outcome(&japanese).unwrap_err();
        assert!(trouble.reason.contains("--encoding shift_jis"), "{trouble}");
        let (russian, _, _) =
            encoding_rs::WINDOWS_1251.encode("Он сказал, что придёт завтра утром");
        let trouble = outcome(&russian).unwrap_err();
        assert!(
            trouble.reason.contains("--encoding windows-1251"),
            "{trouble}"
        );
        assert!(trouble.reason.contains("byte 0"), "{trouble}");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert!(outcome(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").is_err());
        let utf16: Vec<u8> = "text,year"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert!(outcome(&utf16).unwrap_err().reason.contains("utf-16le"));
    }

    #[test]
    fn a_file_that_is_mostly_utf8_is_utf8() {
        let mixed = ["Müller und Söhne, Köln\n".as_bytes(), b"K\xf6ln"].concat();
        assert_eq!(outcome(&mixed).unwrap().encoding, None);
    }
}
