//! The power is cut: of what was written, only what was fsynced is there for sure. Every
//! acknowledged write must be.
//!
//! A run is recorded with all its writes and fsyncs (`support/io_shim.c`). Then the data folder is
//! built as it could look after a cut at many moments (`support/disk.rs`), and opened.
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
use support::disk::{Disk, EVERY_KEPT, Event, events};
use support::workload::{self, Story};
use support::{Dice, open, setting};

const SESSIONS: usize = 4;

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

/// Runs the workload in a process of its own, under the shim.
fn session(root: &Path, log: &Path, shim: &Path, number: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "the_recorded_program",
            "--ignored",
            "--test-threads",
            "1",
        ])
        .env("SIAMESE_WORKLOAD", root)
        .env(
            "SIAMESE_WORKLOAD_SEED",
            (setting("SIAMESE_POWER_SEED", 1) * 100 + number).to_string(),
        )
        .env("SIAMESE_IO_ROOT", root)
        .env("SIAMESE_IO_LOG", log)
        .env("LD_PRELOAD", shim)
        .stdout(std::process::Stdio::null())
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

/// Several sessions; every second one is killed.
fn recorded(folder: &Path) -> Vec<Event> {
    let (root, log) = (folder.join("root"), folder.join("log"));
    fs_err::create_dir(&root).unwrap();
    let shim = shim(folder);
    for number in 0..SESSIONS {
        let mut child = session(&root, &log, &shim, number);
        if number % 2 == 1 {
            std::thread::sleep(Duration::from_millis(1500));
            drop(child.kill());
        }
        let status = child.wait().unwrap();
        assert!(
            number % 2 == 1 || status.success(),
            "session {number}: {status}"
        );
    }
    events(&fs_err::read(log).unwrap())
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
    let index = open(data).map_err(|error| format!("opened again: {error}"))?;
    story
        .check(&index)
        .map_err(|what| format!("opened again: {what}"))
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let events = recorded(folder.path());
    let root = folder.path().join("root");
    let mut dice = Dice(setting("SIAMESE_POWER_SEED", 1) as u64);
    let moments = moments(&events, &mut dice);
    let mut disk = Disk::new(&root);
    let (mut happened, mut states, mut acknowledged) = (0, 0, 0);
    let mut failures = Vec::new();
    for moment in moments {
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
            if let Err(what) = check(&after.path().join(workload::DATA), &story) {
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
