//! The lines of the process that reads a PDF. It is started again behind a page that ended it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::PageLine;
use crate::reading::lines::MAX_LINE_BYTES;

/// How long a page may take; dense ones take a second.
const PAGE_PATIENCE: Duration = Duration::from_secs(60);
/// Pages of one file that may end the process.
const MAX_ENDS: u32 = 10;
/// Pages that are read ahead.
const PAGES_AHEAD: usize = 4;

/// Pages of a file, as they are read.
#[derive(Debug)]
pub(super) struct Pages {
    path: PathBuf,
    reader: Option<Reader>,
    /// The page that is read next.
    next_page: u32,
    ends: u32,
}

/// A running process.
#[derive(Debug)]
struct Reader {
    child: Child,
    lines: Receiver<Vec<u8>>,
}

impl Pages {
    /// The pages of the file at `path`. Nothing is started yet.
    pub(super) fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            reader: None,
            next_page: 1,
            ends: 0,
        }
    }

    /// The next line; [`PageLine::End`] or [`PageLine::BadFile`] is the last.
    pub(super) fn next_line(&mut self) -> PageLine {
        let Some(reader) = &mut self.reader else {
            return match Reader::start(&self.path, self.next_page) {
                Ok(reader) => {
                    self.reader = Some(reader);
                    self.next_line()
                }
                Err(error) => {
                    PageLine::BadFile(format!("cannot start a process to read it: {error}"))
                }
            };
        };
        let reason = match reader.lines.recv_timeout(PAGE_PATIENCE) {
            Ok(line) => match serde_json::from_slice(&line) {
                Ok(line) => return self.noted(line),
                Err(_) => "its text is too long".to_owned(),
            },
            Err(RecvTimeoutError::Timeout) => {
                format!("not read within {} s", PAGE_PATIENCE.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => match reader.child.wait() {
                Ok(status) => format!("reading it crashed ({})", ending(status)),
                Err(error) => format!("reading it crashed ({error})"),
            },
        };
        self.broken_off(reason)
    }

    fn noted(&mut self, line: PageLine) -> PageLine {
        if let PageLine::Page(page, _) | PageLine::BadPage(page, _) = &line {
            self.next_page = page.saturating_add(1);
        }
        line
    }

    /// A page has failed, and what follows it is read by another process. When that one does not get
    /// any further, it is the file that cannot be read.
    fn broken_off(&mut self, reason: String) -> PageLine {
        self.reader = None;
        self.ends += 1;
        let page = self.next_page;
        self.next_page = page.saturating_add(1);
        if page == 1 && self.ends == 1 {
            // It may be the first page or the file as a whole; the second page will tell.
            return match Reader::start(&self.path, 2)
                .map(|reader| self.reader.insert(reader).lines.recv_timeout(PAGE_PATIENCE))
            {
                Ok(Ok(_)) => {
                    self.reader = None;
                    PageLine::BadPage(1, reason)
                }
                _ => PageLine::BadFile(reason),
            };
        }
        match self.ends < MAX_ENDS {
            true => PageLine::BadPage(page, reason),
            false => PageLine::BadFile(format!("given up at page {page}: {reason}")),
        }
    }
}

impl Reader {
    fn start(path: &Path, from: u32) -> std::io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("read-pdf")
            .arg("--from")
            .arg(from.to_string())
            .arg("--")
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (sender, lines) = sync_channel(PAGES_AHEAD);
        if let Some(output) = child.stdout.take() {
            let mut output = BufReader::new(output);
            std::thread::spawn(move || {
                while let Some(line) = line_of(&mut output) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self { child, lines })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It has ended already, or is not needed any more.
        self.child.kill().unwrap_or_default();
        let _ = self.child.wait();
    }
}

/// A line, cut at a length that no page's text has.
fn line_of(output: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let read = output
        .by_ref()
        .take(MAX_LINE_BYTES as u64)
        .read_until(b'\n', &mut line);
    read.ok().filter(|bytes| *bytes > 0).map(|_| line)
}

#[cfg(unix)]
fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        // What it does when it gets no more memory.
        Some(6) => "signal 6: out of memory or of stack".to_owned(),
        Some(signal) => format!("signal {signal}"),
        None => status.to_string(),
    }
}

#[cfg(not(unix))]
fn ending(status: ExitStatus) -> String {
    status.to_string()
}
