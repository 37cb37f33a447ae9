//! The power is cut: of what was written, only what was fsynced is there for sure. Every
//! acknowledged write must be.
//!
//! A run is recorded with all its writes and fsyncs (`support/io_shim.c`). Then the data folder is
//! built as it could look after a cut at many moments (`support/disk.rs`), and opened. Before each
//! session the store is compacted; meanwhile it is compacted again and again in half of them, and in
//! all of them each write has pages of it moved. What happens while a folder is put right and opened
//! after a cut is recorded as well, and cut in turn.
//!
//! `SIAMESE_POWER_CUTS=1000 cargo test -p siamese-index --test power_cut` tries more moments,
//! `SIAMESE_POWER_SEED` other ones.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers of tests fail tests"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use siamese_index::Error;
use support::disk::{Disk, EVERY_KEPT, Event, events, whole_lines};
use support::workload::{self, Story};
use support::{Dice, open, open_at_once, setting};

const SESSIONS: usize = 4;
/// Moments at which one recovery is cut.
const CUTS_OF_A_RECOVERY: usize = 2;

/// The library that records, compiled once for a run.
fn shim(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/io_shim.c");
    let library = folder.join("io_shim.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .status();
    assert!(compiled.expect("cc, which Rust links with").success());
    library
}

/// A test of this file in a process of its own, under the shim.
fn recording(test: &str, root: &Path, log: &Path, shim: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--ignored", "--test-threads", "1"])
        .env("SIAMESE_WORKLOAD", root)
        .env("SIAMESE_IO_ROOT", root)
        .env("SIAMESE_IO_LOG", log)
        .env("LD_PRELOAD", shim)
        .stdout(std::process::Stdio::null());
    command
}

fn session(root: &Path, log: &Path, shim: &Path, number: usize) -> Child {
    let seed = setting("SIAMESE_POWER_SEED", 1) * 100 + number;
    recording("the_recorded_program", root, log, shim)
        .env("SIAMESE_WORKLOAD_SEED", seed.to_string())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "run by the test below, under the shim"]
fn the_recorded_program() {
    if let Ok(root) = std::env::var("SIAMESE_WORKLOAD") {
        workload::run(Path::new(&root), setting("SIAMESE_WORKLOAD_SEED", 1) as u64);
    }
}

#[test]
#[ignore = "run by the test below, under the shim"]
fn the_recorded_recovery() {
    if let Ok(root) = std::env::var("SIAMESE_WORKLOAD") {
        let data = Path::new(&root).join(workload::DATA);
        workload::compact_while_closed(&data);
        drop(open_at_once(&data).unwrap());
    }
}

/// Several sessions; every second one is killed.
fn recorded(folder: &Path, shim: &Path) -> Vec<Event> {
    let (root, log) = (folder.join("root"), folder.join("log"));
    fs_err::create_dir(&root).unwrap();
    for number in 0..SESSIONS {
        let mut child = session(&root, &log, shim, number);
        if number % 2 == 1 {
            std::thread::sleep(Duration::from_millis(1500));
            drop(child.kill());
        }
        let status = child.wait().unwrap();
        assert!(
            number % 2 == 1 || status.success(),
            "session {number}: {status}"
        );
        end_with_a_whole_line(&log);
    }
    events(&fs_err::read(log).unwrap())
}

/// Takes away the part of a line that a killed program has left, so that the next one does not write behind it.
fn end_with_a_whole_line(log: &Path) {
    let whole = whole_lines(&fs_err::read(log).unwrap());
    let log = fs_err::OpenOptions::new().write(true).open(log).unwrap();
    log.set_len(whole as u64).unwrap();
}

/// Moments for cuts: half of them just before an fsync, half anywhere.
fn moments(events: &[Event], dice: &mut Dice) -> Vec<usize> {
    let is_fsync = |place: &usize| matches!(events[*place], Event::Fsync { .. });
    let fsyncs: Vec<usize> = (0..events.len()).filter(is_fsync).collect();
    let count = setting("SIAMESE_POWER_CUTS", 20);
    let mut moments: Vec<usize> = (0..count)
        .map(|n| match n % 2 {
            0 => fsyncs[dice.below(fsyncs.len())],
            _ => dice.below(events.len()),
        })
        .collect();
    moments.sort_unstable();
    moments
}

/// What is wrong with a folder after a cut.
fn check(data: &Path, story: &Story) -> Result<(), String> {
    if !data.is_dir() {
        return match story.is_empty() {
            true => Ok(()),
            false => Err("the folder is gone".to_owned()),
        };
    }
    let index = open(data).map_err(|error: Error| error.to_string())?;
    story.check(&index)?;
    // What was recovered must be good to go on with.
    workload::write_one(&index).map_err(|error| error.to_string())?;
    drop(index);
    let index = open_at_once(data).map_err(|error| format!("opened again: {error}"))?;
    let checked = index.check_contents();
    checked.map_err(|error| format!("compared: {error}"))?;
    story
        .check(&index)
        .map_err(|what| format!("opened again: {what}"))
}

/// Opens what a cut has left, in a process of its own, and cuts the power again while that goes on.
/// How many states of the disk there were.
fn check_recovery(
    left: &Path,
    shim: &Path,
    story: &Story,
    dice: &mut Dice,
) -> Result<usize, String> {
    let folder = tempfile::tempdir().unwrap();
    let (root, log) = (folder.path().join("root"), folder.path().join("log"));
    support::copy(left, &root);
    let mut disk = Disk::holding(&root);
    let status = recording("the_recorded_recovery", &root, &log, shim)
        .status()
        .unwrap();
    if !status.success() {
        return Err(format!("recovery: {status}"));
    }
    let events = events(&fs_err::read(log).unwrap());
    let mut moments: Vec<usize> = (0..CUTS_OF_A_RECOVERY)
        .map(|_| dice.below(events.len()))
        .collect();
    moments.sort_unstable();
    let mut happened = 0;
    for moment in moments {
        for event in &events[happened..moment] {
            disk.happen(event);
        }
        happened = moment;
        for kept in EVERY_KEPT {
            let after = tempfile::tempdir().unwrap();
            disk.cut(kept, dice, after.path());
            check(&after.path().join(workload::DATA), story).map_err(|what| {
                format!("cut again at event {moment} of the recovery, {kept:?} kept: {what}")
            })?;
        }
    }
    Ok(CUTS_OF_A_RECOVERY * EVERY_KEPT.len())
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let shim = shim(folder.path());
    let events = recorded(folder.path(), &shim);
    let root = folder.path().join("root");
    let mut dice = Dice(setting("SIAMESE_POWER_SEED", 1) as u64);
    let moments = moments(&events, &mut dice);
    let mut disk = Disk::new(&root);
    let (mut happened, mut states, mut acknowledged) = (0, 0, 0);
    let mut failures = Vec::new();
    for (place, moment) in moments.into_iter().enumerate() {
        for event in &events[happened..moment] {
            disk.happen(event);
        }
        happened = moment;
        let story = Story::read(&disk.seen(&root.join(workload::DIARY)));
        acknowledged = story.acknowledged();
        for kept in EVERY_KEPT {
            let after = tempfile::tempdir().unwrap();
            disk.cut(kept, &mut dice, after.path());
            states += 1;
            // One of the ways to lose what was not fsynced, in turn: a recovery takes a while.
            let is_cut_again = kept == EVERY_KEPT[place % EVERY_KEPT.len()];
            let outcome = match is_cut_again && after.path().join(workload::DATA).is_dir() {
                true => check_recovery(after.path(), &shim, &story, &mut dice),
                false => Ok(0),
            };
            let outcome = outcome.and_then(|cut_again| {
                states += cut_again;
                check(&after.path().join(workload::DATA), &story)
            });
            if let Err(what) = outcome {
                eprintln!("event {moment}, {kept:?} kept: {what}");
                failures.push((moment, kept, what));
                keep_for_inspection(after.path(), failures.len());
            }
        }
    }
    eprintln!(
        "{} events, {states} states of the disk, {acknowledged} acknowledged writes at the last, {} failures",
        events.len(),
        failures.len()
    );
    assert!(acknowledged > 50, "the run was too short to say anything");
    assert!(failures.is_empty(), "{:?}", failures.first());
}

fn keep_for_inspection(folder: &Path, number: usize) {
    if let Ok(target) = std::env::var("SIAMESE_POWER_KEEP") {
        support::copy(folder, &Path::new(&target).join(number.to_string()));
    }
}

#[test]
fn the_part_of_a_line_that_a_killed_program_left_is_no_line() {
    let line = |text: &[u8]| {
        let head = [
            &[6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &[text.len() as u8, 0, 0, 0],
        ];
        [&head.concat()[..], text].concat()
    };
    let whole = [line(b"/a"), line(b"")].concat();
    assert_eq!(whole_lines(&whole), whole.len());
    let third = line(b"/bc");
    for length in 1..third.len() {
        let log = [&whole[..], &third[..length]].concat();
        assert_eq!(whole_lines(&log), whole.len(), "{length}");
    }
}
