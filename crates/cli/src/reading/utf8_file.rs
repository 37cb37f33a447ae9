//! A text file as UTF-8, whatever it is written in.

use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use encoding_rs::{DecoderResult, Encoding};
use fs_err::File;
use tempfile::TempPath;

use super::document::Trouble;
use super::text_encoding::{Recognised, recognise};

/// Bytes of a text that is one document; the service takes far less.
const MAX_WHOLE_BYTES: u64 = 16 << 20;

/// A file whose bytes are UTF-8 from an offset on, as far as they are in order.
#[derive(Debug)]
pub(super) struct Utf8File {
    path: PathBuf,
    /// Where the text begins.
    start: u64,
    /// What was decoded from another encoding; deleted when it has been read.
    decoded: Option<TempPath>,
    /// What people should know.
    pub(super) remark: Option<Trouble>,
}

impl Utf8File {
    /// Tells the encoding, and decodes what is not UTF-8 into a temporary file.
    ///
    /// # Errors
    /// A file that cannot be read, is not text, or is not in one encoding.
    pub(super) fn open(path: &Path, said: Option<&'static Encoding>) -> Result<Self, Trouble> {
        let Recognised {
            encoding,
            mark_bytes,
            remark,
        } = recognise(path, said)?;
        let decoded = encoding
            .map(|encoding| decoded(path, mark_bytes, encoding))
            .transpose()?;
        Ok(Self {
            path: path.to_owned(),
            start: mark_bytes,
            decoded,
            remark,
        })
    }

    /// Reads from the beginning of the text.
    pub(super) fn reader(&self) -> std::io::Result<BufReader<File>> {
        let mut file = match &self.decoded {
            Some(decoded) => File::open(decoded)?,
            None => File::open(&self.path)?,
        };
        if self.decoded.is_none() {
            file.seek(SeekFrom::Start(self.start))?;
        }
        Ok(BufReader::with_capacity(1 << 16, file))
    }

    /// The whole text.
    ///
    /// # Errors
    /// A text that is too large for one document, or has bytes that are not UTF-8.
    pub(super) fn whole(&self) -> Result<String, Trouble> {
        let mut bytes = Vec::new();
        self.reader()?
            .take(MAX_WHOLE_BYTES + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_WHOLE_BYTES {
            return Err(Trouble::with_file(format!(
                "larger than {} MiB, which is too much for one document",
                MAX_WHOLE_BYTES >> 20
            )));
        }
        String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let before = error.as_bytes().get(..valid).unwrap_or_default();
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
            let byte = self.start + valid as u64;
            Trouble::at(
                line,
                format!("byte {byte} is not UTF-8; use --encoding if the file is not"),
            )
        })
    }
}

/// Decodes a file. A letter that the encoding does not have is refused, because what stands there
/// would be lost.
fn decoded(path: &Path, start: u64, encoding: &'static Encoding) -> Result<TempPath, Trouble> {
    let mut source = File::open(path)?;
    source.seek(SeekFrom::Start(start))?;
    let mut target = tempfile::NamedTempFile::new()?;
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut chunk = vec![0; 1 << 16];
    let mut text = String::with_capacity(1 << 17);
    let mut before = start;
    loop {
        let read = source.read(&mut chunk)?;
        let mut rest = chunk.get(..read).unwrap_or_default();
        loop {
            text.clear();
            let (outcome, taken) =
                decoder.decode_to_string_without_replacement(rest, &mut text, read == 0);
            target.write_all(text.as_bytes())?;
            before += taken as u64;
            rest = rest.get(taken..).unwrap_or_default();
            match outcome {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(faulty, after) => {
                    let byte = before - u64::from(faulty) - u64::from(after);
                    return Err(Trouble::with_file(format!(
                        "byte {byte} is not {}",
                        encoding.name()
                    )));
                }
            }
        }
        if read == 0 {
            target.flush()?;
            return Ok(target.into_temp_path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8], said: Option<&'static Encoding>) -> Result<String, Trouble> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs_err::write(&path, bytes).unwrap();
        Utf8File::open(&path, said)?.whole()
    }

    fn utf16(text: &str) -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = "Grüße, 5 € 𝄞\n".repeat(20_000);
        assert_eq!(whole(&utf16(&text), None).unwrap(), text);
        assert_eq!(whole(text.as_bytes(), None).unwrap(), text);
        let text = "Grüße aus Köln, für 5 €\n".repeat(20_000);
        let (latin, _, _) = encoding_rs::WINDOWS_1252.encode(&text);
        assert_eq!(whole(&latin, None).unwrap(), text);
        let (japanese, _, _) = encoding_rs::SHIFT_JIS.encode("日本語の文章");
        assert_eq!(
            whole(&japanese, Some(encoding_rs::SHIFT_JIS)).unwrap(),
            "日本語の文章"
        );
    }

    #[test]
    fn a_byte_at_fault_is_named_with_its_place() {
        let damaged = ["Müller\n".as_bytes(), b"K\xf6ln ", "Köln".as_bytes()].concat();
        let trouble = whole(&damaged, None).unwrap_err();
        assert_eq!(trouble.line, Some(2));
        assert!(trouble.reason.contains("byte 9"), "{trouble}");
        let mut broken = utf16("abc");
        broken.extend([0x00, 0xd8, 0x61, 0x00]);
        let trouble = whole(&broken, None).unwrap_err();
        assert!(
            trouble.reason.contains("byte 8 is not UTF-16LE"),
            "{trouble}"
        );
    }

    #[test]
    fn an_encoding_that_was_said_leaves_utf8_as_it_is() {
        let text = whole("Köln".as_bytes(), Some(encoding_rs::WINDOWS_1252));
        assert_eq!(text.unwrap(), "Köln");
    }
}
