//! `siamese bench soak`

use std::io::{Write, stdout};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::percentile;
use super::soaked_service::{Footprint, SoakedService};
use crate::client::Service;

/// Documents that come and go.
const IDS: usize = 3000;
const DOCUMENTS_PER_REQUEST: usize = 8;
/// Samples of a run.
const SAMPLES: u32 = 60;
/// Pause of each of the two loaders between requests, so that the machine is not the limit.
const PAUSE: Duration = Duration::from_millis(20);

/// Growth of the mean from the second third of a run to the last that counts as flat. The first
/// third fills caches and is not looked at.
const MAX_MEMORY_GROWTH: f64 = 1.10;
const MAX_MORE_HANDLES: f64 = 8.0;
const MAX_LATENCY_GROWTH: f64 = 1.5;
/// Growth that allocators and timers make by themselves.
const MEMORY_NOISE_BYTES: f64 = 16.0 * 1048576.0;
const LATENCY_NOISE_MS: f64 = 2.0;

/// Run a service of its own under mixed load, and judge whether memory, handles and latency stay flat
///
/// One loader puts, replaces, patches and deletes among 3 000 documents, another searches. The exit
/// code is 1 when something grew or a request failed. The first third of the time is warming up.
#[derive(Debug, clap::Args)]
pub(crate) struct Soak {
    /// Length of the run, minutes
    #[arg(long, value_name = "N", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// Passages that are scanned before a segment is made; few, so that segments come and go
    #[arg(long, value_name = "N", default_value = "256")]
    max_head_passages: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What the loaders have done since the last sample.
#[derive(Debug, Default)]
struct Load {
    searches: Mutex<Vec<Duration>>,
    written: AtomicUsize,
    failures: AtomicUsize,
    stop: AtomicBool,
}

/// The service at one moment, and the load since the sample before.
#[derive(Debug, Clone, Copy)]
struct Sample {
    footprint: Footprint,
    p50_ms: f64,
    p99_ms: f64,
}

impl Soak {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let running = SoakedService::start(self.max_head_passages)?;
        let load = Load::default();
        let samples = thread::scope(|scope| {
            scope.spawn(|| load.repeat(|turn| load.change(running.service(), turn)));
            scope.spawn(|| load.repeat(|turn| load.search(running.service(), turn)));
            let samples = self.sample(&running, &load);
            load.stop.store(true, Ordering::Relaxed);
            samples
        })?;
        let failures = load.failures.load(Ordering::Relaxed);
        let verdict = Verdict::of(&samples, failures);
        self.print(&verdict, load.written.load(Ordering::Relaxed))?;
        Ok(if verdict.is_flat() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn sample(&self, running: &SoakedService, load: &Load) -> Result<Vec<Sample>> {
        let pause = Duration::from_secs(self.minutes * 60) / SAMPLES;
        let mut samples = Vec::new();
        for _ in 0..SAMPLES {
            thread::sleep(pause);
            let mut times = std::mem::take(&mut *lock(&load.searches));
            times.sort_unstable();
            let sample = Sample {
                footprint: running.footprint()?,
                p50_ms: percentile(&times, 50).unwrap_or_default(),
                p99_ms: percentile(&times, 99).unwrap_or_default(),
            };
            if !self.json {
                sample.print(samples.len() + 1)?;
            }
            samples.push(sample);
        }
        Ok(samples)
    }

    fn print(&self, verdict: &Verdict, written: usize) -> Result<()> {
        let mut out = stdout().lock();
        if self.json {
            let figures = verdict.figures.iter();
            let figures: Vec<Value> = figures.map(Figure::json).collect();
            let failures = verdict.failures;
            let result = json!({ "flat": verdict.is_flat(), "written": written, "failures": failures, "figures": figures });
            writeln!(out, "{result}")?;
            return Ok(());
        }
        for figure in &verdict.figures {
            writeln!(out, "{figure}")?;
        }
        let word = if verdict.is_flat() {
            "flat"
        } else {
            "NOT flat"
        };
        writeln!(
            out,
            "{written} documents written, {} requests failed: {word}",
            verdict.failures
        )?;
        Ok(())
    }
}

impl Load {
    fn repeat(&self, mut turn: impl FnMut(usize) -> Result<()>) {
        let mut turns = 0;
        while !self.stop.load(Ordering::Relaxed) {
            if let Err(error) = turn(turns) {
                self.failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "a request failed");
                eprintln!("a request failed: {error:#}");
            }
            turns += 1;
            thread::sleep(PAUSE);
        }
    }

    fn change(&self, service: &Service, turn: usize) -> Result<()> {
        let first = turn.wrapping_mul(7919) % IDS;
        let ids = (first..first + DOCUMENTS_PER_REQUEST).map(|id| id % IDS);
        if turn % 5 == 4 {
            let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
            service.post_patiently("documents/delete", &json!({ "ids": ids }))?;
            return Ok(());
        }
        // Every third time only the metadata is another.
        let version = turn / IDS * 3 + turn % 3 / 2;
        let document = |id: usize| {
            let text = format!("document {id} in version {version} about {}", id % 17);
            json!({ "id": id.to_string(), "text": text, "metadata": { "turn": turn, "kind": id % 5 } })
        };
        let documents: Vec<Value> = ids.map(document).collect();
        service.post_patiently("documents", &json!({ "documents": documents }))?;
        self.written
            .fetch_add(DOCUMENTS_PER_REQUEST, Ordering::Relaxed);
        Ok(())
    }

    fn search(&self, service: &Service, turn: usize) -> Result<()> {
        let mut body = json!({ "query": format!("about {}", turn % 17), "top_k": 10 });
        if turn % 2 == 1 {
            body["filter"] = json!({ "kind": turn % 5 });
        }
        let started = Instant::now();
        service.post("search", &body)?;
        lock(&self.searches).push(started.elapsed());
        Ok(())
    }
}

impl Sample {
    fn print(&self, number: usize) -> Result<()> {
        writeln!(
            stdout(),
            "{number:>3}: {:.1} MiB, {} handles, {:.1} MiB on disk, search p50 {:.1} ms, p99 {:.1} ms",
            self.footprint.memory_bytes as f64 / 1048576.0,
            self.footprint.handles,
            self.footprint.disk_bytes as f64 / 1048576.0,
            self.p50_ms,
            self.p99_ms
        )?;
        Ok(())
    }
}

/// One figure in the second and in the last third of a run.
#[derive(Debug)]
struct Figure {
    name: &'static str,
    before: f64,
    after: f64,
    allowed: f64,
}

impl Figure {
    fn new(
        name: &'static str,
        samples: &[Sample],
        value: impl Fn(&Sample) -> f64,
        allowed: impl Fn(f64) -> f64,
    ) -> Self {
        let third = samples.len() / 3;
        let mean =
            |part: &[Sample]| part.iter().map(&value).sum::<f64>() / part.len().max(1) as f64;
        let before = mean(&samples[third..2 * third]);
        Self {
            name,
            before,
            after: mean(&samples[2 * third..]),
            allowed: allowed(before),
        }
    }

    fn is_flat(&self) -> bool {
        self.after <= self.allowed
    }

    fn json(&self) -> Value {
        json!({ "name": self.name, "before": self.before, "after": self.after, "allowed": self.allowed, "flat": self.is_flat() })
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = if self.is_flat() { "flat" } else { "NOT flat" };
        write!(
            out,
            "{:<14} {:.1} in the second third, {:.1} in the last, {:.1} allowed: {word}",
            self.name, self.before, self.after, self.allowed
        )
    }
}

#[derive(Debug)]
struct Verdict {
    figures: Vec<Figure>,
    failures: usize,
}

impl Verdict {
    fn of(samples: &[Sample], failures: usize) -> Self {
        let mib = 1048576.0;
        let memory = Figure::new(
            "memory_mib",
            samples,
            |sample| sample.footprint.memory_bytes as f64 / mib,
            |before| before * MAX_MEMORY_GROWTH + MEMORY_NOISE_BYTES / mib,
        );
        let handles = Figure::new(
            "handles",
            samples,
            |sample| sample.footprint.handles as f64,
            |before| before + MAX_MORE_HANDLES,
        );
        let latency = Figure::new(
            "search_p50_ms",
            samples,
            |sample| sample.p50_ms,
            |before| before * MAX_LATENCY_GROWTH + LATENCY_NOISE_MS,
        );
        Self {
            figures: vec![memory, handles, latency],
            failures,
        }
    }

    fn is_flat(&self) -> bool {
        self.failures == 0 && self.figures.iter().all(Figure::is_flat)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(memory_mib: impl Fn(u64) -> u64, handles: usize) -> Vec<Sample> {
        let sample = |place| Sample {
            footprint: Footprint {
                memory_bytes: memory_mib(place) << 20,
                handles,
                disk_bytes: 0,
            },
            p50_ms: 3.0,
            p99_ms: 9.0,
        };
        (0..60).map(sample).collect()
    }

    #[test]
    fn a_service_that_grows_at_first_only_is_flat() {
        let verdict = Verdict::of(&samples(|place| 200 + place.min(20) * 30, 40), 0);
        assert!(verdict.is_flat(), "{verdict:?}");
    }

    #[test]
    fn steady_growth_and_a_failed_request_are_not_flat() {
        assert!(!Verdict::of(&samples(|place| 200 + place * 10, 40), 0).is_flat());
        assert!(!Verdict::of(&samples(|_| 200, 40), 1).is_flat());
    }
}
