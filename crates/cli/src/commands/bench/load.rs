//! `siamese bench load`

use std::io::{Write, stdout};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::http::{latencies, query};
use crate::client::{Connection, Service, ServiceError};

/// Of the thread of a connection; there may be thousands.
const STACK_BYTES: usize = 512 << 10;
/// After the end of a part, queries that were due and not sent are waited for no longer than this.
const LATE: Duration = Duration::from_secs(5);

/// Send searches over many connections, as fast as they are answered or at a rate
///
/// Without a rate it is a closed loop: each connection sends its next query when the one before is answered. With
/// --queries-per-second it is an open loop: queries are due at that rate, whatever the service does, and their times
/// count from when they were due, so that waiting for a connection counts as well. --overload 2 does both: it finds out what the
/// service answers in a closed loop, and then sends twice as many. Queries are all different, and go to a collection
/// that is there.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadBench {
    /// Time of each part, seconds
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Connections, each with a query at a time
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// Queries in a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    queries_per_second: Option<u32>,
    /// How many times what it has answered in a closed loop is sent in an open one, 0.1 to 100; with many connections,
    /// since the closed loop uses 64 of them at most
    #[arg(long, value_name = "TIMES", conflicts_with = "queries_per_second", value_parser = times)]
    overload: Option<f64>,
    #[command(flatten)]
    connection: Connection,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The most connections that a closed loop before an overload has: more only wait longer.
const MAX_CLOSED_CONNECTIONS: usize = 64;

/// What came of queries.
#[derive(Debug, Default)]
struct Outcome {
    answered: Vec<Duration>,
    /// With 503 or 429.
    refused: Vec<Duration>,
    /// With anything else, or not at all.
    failed: usize,
    failure: Option<String>,
}

/// When queries are sent.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    begin: Instant,
    length: Duration,
    /// From one query to the next; none where each waits for the one before.
    interval: Option<Duration>,
}

impl LoadBench {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let service = Service::new(&self.connection);
        ensure!(
            service.describe_collection()?.is_some(),
            "there is no such collection; search in one with documents"
        );
        let connections = usize::from(self.connections);
        let parts = match (self.queries_per_second, self.overload) {
            (Some(rate), _) => vec![self.part("open", connections, Some(rate.into()), 0)?],
            (None, None) => vec![self.part("closed", connections, None, 0)?],
            (None, Some(times)) => {
                let few = connections.min(MAX_CLOSED_CONNECTIONS);
                let closed = self.part("closed", few, None, 0)?;
                let peak = closed["answered_per_second"].as_f64();
                let peak = peak.filter(|peak| *peak > 0.0);
                let peak = peak.context("the service has answered nothing")?;
                // Other queries than before, which the service knows.
                let open = self.part("open", connections, Some(peak * times), 1 << 24)?;
                vec![closed, open]
            }
        };
        self.print(&parts)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Sends queries from number `first` on.
    fn part(
        &self,
        name: &str,
        connections: usize,
        rate: Option<f64>,
        first: usize,
    ) -> Result<Value> {
        let next = AtomicUsize::new(0);
        let schedule = Schedule {
            begin: Instant::now(),
            length: Duration::from_secs(self.seconds),
            interval: rate.map(|rate| Duration::from_secs(1).div_f64(rate)),
        };
        let outcomes: Vec<Outcome> = thread::scope(|scope| {
            let threads = (0..connections).map(|_| {
                let thread = thread::Builder::new().stack_size(STACK_BYTES);
                let send = || self.send(&schedule, &next, first);
                Ok(thread.spawn_scoped(scope, send)?)
            });
            let threads: Vec<_> = threads.collect::<Result<_>>()?;
            let outcomes = threads.into_iter().map(|thread| {
                let panicked = |_| anyhow!("a connection's thread panicked");
                thread.join().map_err(panicked)
            });
            outcomes.collect::<Result<_>>()
        })?;
        // Answers to what was due before the end may come after it.
        let took = schedule.begin.elapsed().max(schedule.length);
        let due = schedule.queries_due();
        Ok(described(name, took, rate, due, outcomes))
    }

    /// Sends queries one after the other over one connection, until the time is over.
    fn send(&self, schedule: &Schedule, next: &AtomicUsize, first: usize) -> Outcome {
        let service = Service::new(&self.connection);
        let mut outcome = Outcome::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(due) = schedule.due(number) else {
                return outcome;
            };
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let body = json!({ "query": query(first + number) });
            let answer = service.post("search", &body);
            outcome.add(answer, due.elapsed());
        }
    }

    fn print(&self, parts: &[Value]) -> Result<()> {
        let mut out = stdout().lock();
        if self.json {
            writeln!(out, "{}", json!({ "parts": parts }))?;
            return Ok(());
        }
        for part in parts {
            writeln!(out, "{}", sentence(part))?;
        }
        if let [closed, open] = parts {
            let rate = |part: &Value| part["answered_per_second"].as_f64().unwrap_or_default();
            let share = 100.0 * rate(open) / rate(closed);
            writeln!(out, "overloaded, it answers {share:.0} % of its peak")?;
        }
        Ok(())
    }
}

impl Schedule {
    /// When a query is to be sent; `None` when the time is over.
    fn due(&self, number: usize) -> Option<Instant> {
        let now = Instant::now();
        let Some(interval) = self.interval else {
            return (now < self.begin + self.length).then_some(now);
        };
        let after = interval.mul_f64(number as f64);
        let is_too_late = now > self.begin + self.length + LATE;
        (after < self.length && !is_too_late).then(|| self.begin + after)
    }

    /// Queries of an open loop.
    fn queries_due(&self) -> Option<usize> {
        let interval = self.interval?;
        Some((self.length.as_secs_f64() / interval.as_secs_f64()).ceil() as usize)
    }
}

impl Outcome {
    fn add(&mut self, answer: Result<Value>, took: Duration) {
        let Err(error) = answer else {
            return self.answered.push(took);
        };
        if let Some(ServiceError::Busy { .. }) = error.downcast_ref() {
            return self.refused.push(took);
        }
        self.failed += 1;
        self.failure.get_or_insert_with(|| format!("{error:#}"));
    }
}

fn described(
    name: &str,
    took: Duration,
    rate: Option<f64>,
    due: Option<usize>,
    outcomes: Vec<Outcome>,
) -> Value {
    let mut all = Outcome::default();
    for outcome in outcomes {
        all.answered.extend(outcome.answered);
        all.refused.extend(outcome.refused);
        all.failed += outcome.failed;
        all.failure = all.failure.or(outcome.failure);
    }
    let sent = all.answered.len() + all.refused.len() + all.failed;
    json!({
        "loop": name,
        "seconds": took.as_secs_f64(),
        "queries_per_second": rate,
        "answered_per_second": all.answered.len() as f64 / took.as_secs_f64(),
        "answered": latencies(all.answered),
        "refused": latencies(all.refused),
        "failed": all.failed,
        "failure": all.failure,
        "not_sent": due.map(|due| due.saturating_sub(sent)),
    })
}

fn sentence(part: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let sent = match part["queries_per_second"].as_f64() {
        None => "closed loop".to_owned(),
        Some(rate) => format!("{rate:.0} queries a second"),
    };
    let times = |of: &Value| match of["p99_ms"].as_f64() {
        None => "none".to_owned(),
        Some(p99) => {
            let count = number(&of["queries"]);
            let p50 = number(&of["p50_ms"]);
            format!("{count:.0} (p50 {p50:.1} ms, p99 {p99:.1} ms)")
        }
    };
    let mut sentence = format!(
        "{sent}: {:.0} answered a second; answered {}, refused {}, failed {}",
        number(&part["answered_per_second"]),
        times(&part["answered"]),
        times(&part["refused"]),
        part["failed"],
    );
    if let Some(not_sent) = part["not_sent"].as_u64().filter(|count| *count > 0) {
        sentence += &format!(", not sent for want of a connection {not_sent}");
    }
    if let Some(failure) = part["failure"].as_str() {
        sentence += &format!("; the first failure: {failure}");
    }
    sentence
}

fn times(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(times) if (0.1..=100.0).contains(&times) => Ok(times),
        _ => Err("it may be 0.1 to 100".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_counts_from_when_a_query_was_due_and_ends_with_the_time() {
        let schedule = Schedule {
            begin: Instant::now(),
            length: Duration::from_secs(10),
            interval: Some(Duration::from_millis(20)),
        };
        assert_eq!(schedule.queries_due(), Some(500));
        let due = schedule.due(100).unwrap();
        assert_eq!(due - schedule.begin, Duration::from_secs(2));
        assert!(schedule.due(499).is_some() && schedule.due(500).is_none());
        // Nobody waits for ever for what a slow service has not taken.
        let long_ago = schedule.begin.checked_sub(schedule.length + 2 * LATE);
        let begin = long_ago.unwrap();
        assert!(Schedule { begin, ..schedule }.due(1).is_none());
    }

    #[test]
    fn what_was_not_answered_is_told_apart() {
        let busy = ServiceError::Busy {
            detail: "full".to_owned(),
            retry_after: Duration::ZERO,
        };
        let mut outcome = Outcome::default();
        outcome.add(Ok(Value::Null), Duration::from_millis(1));
        outcome.add(Err(busy.into()), Duration::from_millis(2));
        outcome.add(Err(anyhow!("gone")), Duration::from_millis(3));
        let part = described(
            "open",
            Duration::from_secs(1),
            Some(5.0),
            Some(5),
            vec![outcome],
        );
        assert_eq!(part["answered"]["queries"], 1);
        assert_eq!(part["refused"]["p99_ms"], 2.0);
        assert_eq!((&part["failed"], &part["not_sent"]), (&json!(1), &json!(2)));
        let said = sentence(&part);
        assert!(
            said.contains("want of a connection 2") && said.contains("gone"),
            "{said}"
        );
    }
}
