//! Other callers during an attack: a supervisor that asks `/livez`, and somebody who searches.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;
use siamese_tests::Client;
use ureq::http::Method;

use crate::latencies::Latencies;
use crate::process::Process;
use crate::victim::BYSTANDERS;
use crate::wire::{Wire, bare};

const LIVEZ_PACE: Duration = Duration::from_millis(20);
const SEARCH_PACE: Duration = Duration::from_millis(25);
/// Who waits longer has given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Probes of one kind that wait for their answers at the same time; then they are late themselves.
const MAX_WAITING: usize = 32;
/// More than any attack may take; a process that takes it is ended before the machine is lost.
const MOST_MEMORY: u64 = 6 << 30;

/// Callers at a steady pace, until they are told to stop.
#[derive(Debug)]
pub(crate) struct Probes {
    stop: Arc<AtomicBool>,
    livez: JoinHandle<Latencies>,
    searches: JoinHandle<Latencies>,
    guard: JoinHandle<u64>,
}

/// How long they waited.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waits {
    pub(crate) livez: Latencies,
    pub(crate) searches: Latencies,
    /// The most memory that was seen meanwhile, bytes.
    pub(crate) memory: u64,
}

impl Probes {
    pub(crate) fn start(process: Process, port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let livez = {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || at_a_pace(&stop, LIVEZ_PACE, |_| is_alive(port)))
        };
        let searches = {
            let stop = Arc::clone(&stop);
            let client = Client::with_patience(format!("http://127.0.0.1:{port}"), PATIENCE);
            std::thread::spawn(move || at_a_pace(&stop, SEARCH_PACE, |n| finds(&client, n)))
        };
        let guard = {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || guard_memory(&stop, process))
        };
        Self {
            stop,
            livez,
            searches,
            guard,
        }
    }

    pub(crate) fn stop(self) -> Waits {
        self.stop.store(true, Ordering::Relaxed);
        Waits {
            livez: self.livez.join().expect("a probe"),
            searches: self.searches.join().expect("a probe"),
            memory: self.guard.join().expect("a probe"),
        }
    }
}

/// Asks at moments that are fixed beforehand, whether or not the answers before have come, and counts
/// from these moments.
fn at_a_pace(
    stop: &AtomicBool,
    pace: Duration,
    ask: impl Fn(u32) -> bool + Send + Sync,
) -> Latencies {
    let waits = Mutex::new(Vec::new());
    let failures = AtomicUsize::new(0);
    let waiting = AtomicUsize::new(0);
    let started_at = Instant::now();
    let ask_at = |due: Instant, n: u32| {
        failures.fetch_add(usize::from(!ask(n)), Ordering::Relaxed);
        waiting.fetch_sub(1, Ordering::Relaxed);
        let mut waits = waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.push(due.elapsed());
    };
    std::thread::scope(|scope| {
        let ask_at = &ask_at;
        for n in 0.. {
            let due = started_at + pace * n;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            while waiting.load(Ordering::Relaxed) >= MAX_WAITING {
                std::thread::sleep(Duration::from_millis(1));
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
            waiting.fetch_add(1, Ordering::Relaxed);
            let asking = std::thread::Builder::new().stack_size(256 * 1024);
            asking
                .spawn_scoped(scope, move || ask_at(due, n))
                .expect("a thread");
        }
    });
    Latencies::new(
        waits.into_inner().unwrap_or_else(PoisonError::into_inner),
        failures.into_inner(),
    )
}

/// Looks at the memory of the process, and ends it at [`MOST_MEMORY`].
fn guard_memory(stop: &AtomicBool, process: Process) -> u64 {
    let mut most = 0;
    while !stop.load(Ordering::Relaxed) {
        most = most.max(process.memory());
        if most > MOST_MEMORY {
            eprintln!("    ended: it takes more than {MOST_MEMORY} bytes");
            process.kill();
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    most
}

/// Every probe has a connection of its own, as those of supervisors have.
fn is_alive(port: u16) -> bool {
    let Ok(mut wire) = Wire::open(Ipv4Addr::LOCALHOST, port) else {
        return false;
    };
    wire.0.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    wire.request(&bare("GET", "/livez"), b"").is_ok() && wire.reply().status == 200
}

fn finds(client: &Client, n: u32) -> bool {
    let path = format!("/collections/{BYSTANDERS}/search");
    // A new text each time, so that its vector is not known already.
    let body = json!({"query": format!("a query of number {n}")});
    let answer = client.try_json(Method::POST, &path, &body);
    answer.is_some_and(|answer| answer.status == 200)
}
