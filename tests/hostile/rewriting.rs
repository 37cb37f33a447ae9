//! Writing the same large documents again and again from several clients: sled's log fills up with
//! dead parts, which are reclaimed and rewritten meanwhile, and every write must come to its end.
//!
//! The long form is `SIAMESE_HOSTILE_WRITES=20000`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_tests::{Client, setting};
use ureq::http::Method;

use crate::victim::Victim;

const WRITERS: usize = 4;
const DOCUMENTS_PER_WRITE: usize = 100;
const METADATA_BYTES: usize = 55_000;
/// A write that takes longer hangs.
const STALL: Duration = Duration::from_secs(30);
/// The short form ends after this time.
const SHORT: Duration = Duration::from_secs(20);

/// What the writers have done so far.
#[derive(Debug)]
struct Progress {
    begun: AtomicUsize,
    done: AtomicUsize,
    refused: AtomicUsize,
    times: Mutex<Vec<Duration>>,
    last: Mutex<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self {
            begun: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            times: Mutex::new(Vec::new()),
            last: Mutex::new(Instant::now()),
        }
    }

    fn note(&self, took: Duration, is_written: bool) {
        let counter = if is_written {
            &self.done
        } else {
            &self.refused
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.push(took);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn since_last(&self) -> Duration {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.elapsed()
    }
}

/// The same texts each time, so that nothing is encoded, and other metadata.
fn write(writer: usize, round: usize) -> Value {
    let filling = format!("{round} ").repeat(METADATA_BYTES / (round.to_string().len() + 1));
    let document = |n: usize| {
        json!({"id": format!("w{writer}-{n}"), "text": format!("text {n}"),
            "metadata": {"round": round, "filling": filling}})
    };
    let documents: Vec<_> = (0..DOCUMENTS_PER_WRITE).map(document).collect();
    json!({"documents": documents})
}

fn keep_writing(client: &Client, writer: usize, writes: usize, progress: &Progress) {
    for round in 0.. {
        if progress.begun.fetch_add(1, Ordering::Relaxed) >= writes {
            return;
        }
        let body = write(writer, round);
        let asked_at = Instant::now();
        let answer = client.try_json(Method::POST, "/documents", &body);
        let is_written = answer.as_ref().is_some_and(|answer| answer.status == 200);
        progress.note(asked_at.elapsed(), is_written);
        if answer.is_none() {
            return;
        }
    }
}

/// Waits until all is written or nothing moves any more; says whether all is well.
fn watch(progress: &Progress, writes: usize, are_done: impl Fn() -> bool) -> bool {
    let mut reported_at = Instant::now();
    while !are_done() {
        std::thread::sleep(Duration::from_millis(100));
        if progress.since_last() > STALL {
            return false;
        }
        if reported_at.elapsed() > Duration::from_secs(60) {
            reported_at = Instant::now();
            eprintln!(
                "{} of {writes} writes",
                progress.done.load(Ordering::Relaxed)
            );
        }
    }
    true
}

#[test]
fn rewriting_large_documents_from_several_clients_never_stalls() {
    let long = setting("SIAMESE_HOSTILE_WRITES", 0);
    let writes = if long > 0 { long } else { 400 };
    let victim = Victim::start_small();
    let address = format!("http://127.0.0.1:{}", victim.server.port());
    let client = Client::with_patience(address, 4 * STALL);
    let progress = Progress::new();
    let started_at = Instant::now();
    let is_well = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (client, progress) = (client.clone(), &progress);
                scope.spawn(move || keep_writing(&client, writer, writes, progress))
            })
            .collect();
        let is_well = watch(&progress, writes, || {
            let is_over = long == 0 && started_at.elapsed() > SHORT;
            if is_over {
                progress.begun.store(writes, Ordering::Relaxed);
            }
            writers
                .iter()
                .all(std::thread::ScopedJoinHandle::is_finished)
        });
        if !is_well {
            let pid = victim.server.pid().as_raw_nonzero();
            eprintln!("stalled: see `gdb -p {pid} -batch -ex 'thread apply all backtrace'`");
            hold_for_a_look();
            // Whoever waits for an answer gets an error instead of waiting for ever.
            victim.process().kill();
        }
        is_well
    });
    report(&progress, started_at.elapsed());
    assert!(is_well, "no write was answered for {STALL:?}");
    assert_eq!(
        progress.refused.into_inner(),
        0,
        "writes were not acknowledged"
    );
}

/// Keeps a stalled process for as many seconds as `SIAMESE_HOSTILE_HOLD_S` says.
fn hold_for_a_look() {
    let seconds = setting("SIAMESE_HOSTILE_HOLD_S", 0);
    std::thread::sleep(Duration::from_secs(seconds as u64));
}

fn report(progress: &Progress, took: Duration) {
    let mut times = progress
        .times
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    times.sort_unstable();
    let place = |share: f64| ((times.len() as f64 * share) as usize).min(times.len().max(1) - 1);
    let time = |share: f64| {
        times
            .get(place(share))
            .map_or(f64::NAN, Duration::as_secs_f64)
    };
    eprintln!(
        "{} writes of 5.5 MB by {WRITERS} clients in {:.0} s; {} not acknowledged; p50 {:.2} s, p99 {:.2} s, longest {:.2} s",
        progress.done.load(Ordering::Relaxed),
        took.as_secs_f64(),
        progress.refused.load(Ordering::Relaxed),
        time(0.5),
        time(0.99),
        time(1.0),
    );
}
