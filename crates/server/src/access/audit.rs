//! A log of what was changed and administered: who, what, when, and with which result.
//!
//! A line is a JSON object. The file is opened anew for each few lines, so that it may be moved away at any time.

use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use axum::http::StatusCode;
use fs_err::OpenOptions;
use jiff::Timestamp;
use serde::Serialize;

use super::principal::Principal;

/// Lines that may wait for the disk.
const MAX_WAITING: usize = 4096;
/// The longest path that is written whole, bytes.
const MAX_PATH_BYTES: usize = 1024;
/// How long the end of the service waits for the disk.
const MAX_FLUSH_TIME: Duration = Duration::from_secs(1);

/// The log. Lines are written by a thread, so that no request waits for the disk.
#[derive(Debug)]
pub(crate) struct AuditLog {
    sender: SyncSender<Message>,
    /// Lines that came when there was no room for more.
    lost: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Line(String),
    Flush(SyncSender<()>),
}

/// What a request is about. No text, no vector, and nothing behind the `?` of its address.
#[derive(Debug, Serialize)]
pub(super) struct AuditEntry {
    at: String,
    /// The id of the key; nothing where no keys are asked for.
    key: Option<String>,
    name: Option<String>,
    /// The address at the other end, which is a proxy's where there is one.
    peer: Option<IpAddr>,
    method: String,
    path: String,
    request_id: Option<String>,
}

/// The same with what has become of it.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    entry: &'a AuditEntry,
    status: u16,
    /// Lines before this one that were not written.
    #[serde(skip_serializing_if = "is_zero")]
    lost: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(lost: &u64) -> bool {
    *lost == 0
}

impl AuditEntry {
    pub(super) fn new(
        principal: &Principal,
        peer: Option<IpAddr>,
        method: &str,
        path: &str,
        request_id: Option<&str>,
    ) -> Self {
        let end = path.floor_char_boundary(MAX_PATH_BYTES);
        Self {
            at: Timestamp::now().to_string(),
            key: principal.id().map(ToOwned::to_owned),
            name: principal.name().map(ToOwned::to_owned),
            peer: peer.map(|peer| peer.to_canonical()),
            method: method.to_owned(),
            path: path[..end].to_owned(),
            request_id: request_id.map(ToOwned::to_owned),
        }
    }
}

impl AuditLog {
    /// Opens the file and starts the thread.
    ///
    /// # Errors
    /// When the file cannot be written, or the system gives no thread.
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        append(path, "")?;
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let path = path.to_owned();
        let thread = thread::Builder::new().name("audit".to_owned());
        thread.spawn(move || write_all(&path, &receiver))?;
        Ok(Self {
            sender,
            lost: AtomicU64::new(0),
        })
    }

    /// Writes down what has become of a request.
    pub(super) fn write(&self, entry: &AuditEntry, status: StatusCode) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let line = Line {
            entry,
            status: status.as_u16(),
            lost,
        };
        let Ok(line) = serde_json::to_string(&line) else {
            return;
        };
        if self.sender.try_send(Message::Line(line + "\n")).is_err() {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }

    /// Waits for the lines so far to be written, for a moment.
    pub(super) fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        if self.sender.try_send(Message::Flush(done)).is_ok()
            && is_done.recv_timeout(MAX_FLUSH_TIME).is_err()
        {
            tracing::warn!("the last lines of the audit log may be missing");
        }
    }
}

fn write_all(path: &Path, receiver: &Receiver<Message>) {
    let mut is_failing = false;
    while let Ok(first) = receiver.recv() {
        let (mut lines, mut waiting) = (String::new(), Vec::new());
        for message in std::iter::once(first).chain(receiver.try_iter().take(MAX_WAITING)) {
            match message {
                Message::Line(line) => lines.push_str(&line),
                Message::Flush(done) => waiting.push(done),
            }
        }
        let outcome = append(path, &lines);
        if let (Err(error), false) = (&outcome, is_failing) {
            tracing::error!(%error, "the audit log cannot be written");
        }
        is_failing = outcome.is_err();
        for done in waiting {
            // Whoever waited may have given up.
            done.try_send(()).unwrap_or_default();
        }
    }
}

fn append(path: &Path, lines: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)?.write_all(lines.as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_line_says_who_did_what_and_the_file_may_be_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let log = AuditLog::open(&path).unwrap();
        let write = |id: &str| {
            let peer = "::ffff:192.0.2.1".parse().ok();
            let anyone = Principal::Anyone;
            let entry = AuditEntry::new(&anyone, peer, "DELETE", "/documents/a", Some(id));
            log.write(&entry, StatusCode::NO_CONTENT);
            log.flush();
        };
        write("one");
        fs_err::rename(&path, folder.path().join("audit.1")).unwrap();
        write("two");
        let read = |name: &str| -> Value {
            let text = fs_err::read_to_string(folder.path().join(name)).unwrap();
            assert_eq!(text.lines().count(), 1, "{text}");
            serde_json::from_str(&text).unwrap()
        };
        assert_eq!(read("audit.1")["request_id"], "one");
        let line = read("audit.jsonl");
        assert_eq!(line["peer"], "192.0.2.1");
        assert_eq!(
            (
                &line["method"],
                &line["path"],
                &line["status"],
                &line["request_id"]
            ),
            (
                &"DELETE".into(),
                &"/documents/a".into(),
                &204.into(),
                &"two".into()
            )
        );
        assert!(line["at"].as_str().unwrap().ends_with('Z') && line.get("lost").is_none());
    }

    #[test]
    fn a_file_that_cannot_be_written_is_told_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        assert!(AuditLog::open(&folder.path().join("no/such/folder")).is_err());
    }

    #[test]
    fn a_long_path_is_cut() {
        let path = format!("/documents/{}", "é".repeat(4000));
        let entry = AuditEntry::new(&Principal::Nobody, None, "DELETE", &path, None);
        assert!(entry.path.len() <= MAX_PATH_BYTES);
    }
}
