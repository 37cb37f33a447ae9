//! The process that reads a PDF, page by page, and writes a line of JSON for each.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use anyhow::Result;
use pdf_extract::{
    Document, Error, Object, OutputError, PlainTextOutput, decode_text_string, output_doc_page,
};

use super::PageLine;

/// Memory of the process. A PDF of a hundred megabytes can be read with that.
#[cfg(unix)]
const MAX_MEMORY_BYTES: u64 = 1 << 30;
/// Seconds of work, for the case that nobody is there any more to end the process.
#[cfg(unix)]
const MAX_CPU_S: u64 = 3600;

/// Reads the pages of a PDF from page `from` on.
///
/// # Errors
/// When nobody reads what is written.
pub(crate) fn write_pages(path: &Path, from: u32, mut out: impl Write) -> Result<()> {
    bound_this_process();
    // A panic is told as the failure of its page.
    std::panic::set_hook(Box::new(|_| {}));
    let document = match guarded(|| open(path)) {
        Ok(document) => document,
        Err(reason) => return write_line(&mut out, &PageLine::BadFile(reason)),
    };
    if let Ok(title) = guarded(|| title(&document).ok_or(String::new())) {
        write_line(&mut out, &PageLine::Title(title))?;
    }
    let pages = document.get_pages();
    if pages.is_empty() {
        return write_line(
            &mut out,
            &PageLine::BadFile("a PDF without pages".to_owned()),
        );
    }
    for page in pages.into_keys().filter(|page| *page >= from) {
        let line = match guarded(|| text(&document, page)) {
            Ok(text) => PageLine::Page(page, text),
            Err(reason) => PageLine::BadPage(page, reason),
        };
        write_line(&mut out, &line)?;
    }
    write_line(&mut out, &PageLine::End)
}

fn write_line(out: &mut impl Write, line: &PageLine) -> Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Has the system end this process when it takes too much.
fn bound_this_process() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        for (resource, limit) in [
            (Resource::As, MAX_MEMORY_BYTES),
            (Resource::Cpu, MAX_CPU_S),
            (Resource::Core, 0),
        ] {
            let limit = Rlimit {
                current: Some(limit),
                maximum: Some(limit),
            };
            // Without it the file is read all the same; the time is bounded by whoever waits.
            setrlimit(resource, limit).unwrap_or_default();
        }
    }
}

/// Runs what may panic.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let outcome = catch_unwind(AssertUnwindSafe(read));
    outcome.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or_default();
        Err(format!("damaged, or not supported: {words}"))
    })
}

fn open(path: &Path) -> Result<Document, String> {
    let mut document = Document::load(path).map_err(|error| match error {
        Error::Decryption(_) => protected(),
        error => format!("not a readable PDF: {error}"),
    })?;
    if document.is_encrypted() {
        // Many are encrypted only to forbid printing, with an empty password.
        document.decrypt("").map_err(|_| protected())?;
    }
    Ok(document)
}

fn protected() -> String {
    "protected by a password; save it without one".to_owned()
}

fn title(document: &Document) -> Option<String> {
    let info = document.trailer.get(b"Info").ok()?;
    let info = match info {
        Object::Reference(id) => document.get_object(*id).ok()?,
        object => object,
    };
    decode_text_string(info.as_dict().ok()?.get(b"Title").ok()?).ok()
}

fn text(document: &Document, page: u32) -> Result<String, String> {
    let mut text = String::new();
    let read = output_doc_page(document, &mut PlainTextOutput::new(&mut text), page);
    match read {
        Ok(()) => Ok(text),
        Err(OutputError::PdfError(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
