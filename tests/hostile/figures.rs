//! The figures of one attack, their line in the table, and their verdict.

use crate::attacker::Tally;
use crate::form;
use crate::probes::Waits;

const MB: f64 = 1e6;
/// `/livez` during an attack: the 99th percentile, milliseconds.
const MAX_LIVEZ_MS: f64 = 50.0;
/// Searches of others during an attack: their 99th percentile in terms of the one before it.
const MAX_SEARCH_RATIO: f64 = 5.0;

/// How much an attack is, and so what it may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// One request, or one after another.
    One,
    /// Up to a hundred connections.
    Hundred,
}

impl Weight {
    fn max_peak_bytes(self) -> u64 {
        match self {
            Self::One => 200_000_000,
            Self::Hundred => 1 << 30,
        }
    }

    /// Memory that may stay with the process afterwards: allocators keep some for the next request,
    /// for each thread that has worked.
    fn max_kept_bytes(self) -> u64 {
        match self {
            Self::One => 150_000_000,
            Self::Hundred => 512 << 20,
        }
    }
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) name: String,
    pub(crate) weight: Weight,
    pub(crate) peak_over_idle: u64,
    pub(crate) kept_over_idle: u64,
    pub(crate) idle: Waits,
    pub(crate) waits: Waits,
    pub(crate) answered: Tally,
    pub(crate) seconds: f64,
    /// Until the process had nothing to do any more.
    pub(crate) quiet_after_s: Option<f64>,
    pub(crate) recovered: Result<(), String>,
}

impl Figures {
    pub(crate) const HEAD: &str = "| attack | MB over idle, peak | MB over idle, afterwards | \
        /livez p50, p99, ms | search p99, ms | times idle | seconds | idle again after, s | \
        answered | as before afterwards |\n|---|---|---|---|---|---|---|---|---|---|";

    fn search_ratio(&self) -> f64 {
        self.waits.searches.quantile_ms(0.99) / self.idle.searches.quantile_ms(0.99)
    }

    /// The line of the table.
    pub(crate) fn line(&self) -> String {
        let quiet = self.quiet_after_s;
        let quiet = quiet.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1}"));
        let recovered = match &self.recovered {
            Ok(()) => "yes".to_owned(),
            Err(why) => format!("no: {}", why.chars().take(200).collect::<String>()),
        };
        format!(
            "| {} | {:.0} | {:.0} | {:.1}, {:.1} | {:.1} | {:.1} | {:.1} | {quiet} | {}{} | {recovered} |",
            self.name,
            self.peak_over_idle as f64 / MB,
            self.kept_over_idle as f64 / MB,
            self.waits.livez.quantile_ms(0.5),
            self.waits.livez.quantile_ms(0.99),
            self.waits.searches.quantile_ms(0.99),
            self.search_ratio(),
            self.seconds,
            self.answered,
            self.failed_probes(),
        )
    }

    fn failed_probes(&self) -> String {
        match (self.waits.livez.failures, self.waits.searches.failures) {
            (0, 0) => String::new(),
            (livez, searches) => {
                format!("; of others not answered: {livez} of /livez, {searches} searches")
            }
        }
    }

    /// What is over its bound; times only in the full form, which has the machine for itself.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = self.lasting_faults();
        if form::is_full() {
            faults.extend(self.slow());
        }
        faults
    }

    /// What is left of the attack, or has cost too much memory.
    pub(crate) fn lasting_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.peak_over_idle > self.weight.max_peak_bytes() {
            faults.push(format!("takes {} bytes", self.peak_over_idle));
        }
        if self.kept_over_idle > self.weight.max_kept_bytes() {
            faults.push(format!("leaves {} bytes", self.kept_over_idle));
        }
        if self.quiet_after_s.is_none() {
            faults.push("goes on working".to_owned());
        }
        if let Err(why) = &self.recovered {
            faults.push(why.clone());
        }
        faults
    }

    fn slow(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let livez = self.waits.livez.quantile_ms(0.99);
        if livez > MAX_LIVEZ_MS {
            faults.push(format!("/livez waits {livez:.0} ms"));
        }
        let ratio = self.search_ratio();
        if ratio > MAX_SEARCH_RATIO {
            faults.push(format!("searches take {ratio:.1} times as long"));
        }
        if self.waits.livez.failures + self.waits.searches.failures > 0 {
            faults.push(format!("others are refused{}", self.failed_probes()));
        }
        faults
    }
}
