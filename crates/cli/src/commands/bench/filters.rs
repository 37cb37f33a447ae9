//! Searches with filters: what they find and how long they take, against those without.

use std::io::{Write, stdout};
use std::time::Instant;

use anyhow::Result;
use roaring::RoaringBitmap;
use serde::Serialize;
use siamese_index::{GraphSettings, SingleSegment, VectorQuery};

use super::index::{NEIGHBOURS, Queries, rounded};

/// Queries that are measured: exact answers are needed for each.
const MAX_QUERIES: usize = 200;

/// What a filter lets pass.
#[derive(Debug, Clone, Copy)]
enum Pass {
    Number(u32),
    Percent(u32),
}

const PASSES: [Pass; 7] = [
    Pass::Number(0),
    Pass::Number(1),
    Pass::Number(10),
    Pass::Percent(1),
    Pass::Percent(10),
    Pass::Percent(50),
    Pass::Percent(99),
];

/// One line of the table.
#[derive(Debug, Serialize)]
struct Measured {
    engine: &'static str,
    filter: String,
    passing: u64,
    recall_at_10: f64,
    latency_us: f64,
    times_unfiltered: f64,
}

/// Prints one line for each filter.
pub(super) fn run(space: &SingleSegment, rows: u32, queries: &Queries, json: bool) -> Result<()> {
    let unfiltered = latency_us(space, queries, None);
    let mut out = stdout().lock();
    if !json {
        writeln!(
            out,
            "{:>8} {:>8} {:>10} {:>12} {:>16}",
            "filter", "passing", "recall@10", "latency, us", "x unfiltered"
        )?;
    }
    for pass in PASSES {
        let allowed = pass.allowed(rows);
        let latency = latency_us(space, queries, Some(&allowed));
        let line = Measured {
            engine: "siamese",
            filter: pass.name(),
            passing: allowed.len(),
            recall_at_10: rounded(recall(space, queries, &allowed), 4),
            latency_us: rounded(latency, 1),
            times_unfiltered: rounded(latency / unfiltered, 2),
        };
        if json {
            writeln!(out, "{}", serde_json::to_string(&line)?)?;
        } else {
            writeln!(
                out,
                "{:>8} {:>8} {:>10.4} {:>12.1} {:>16.2}",
                line.filter,
                line.passing,
                line.recall_at_10,
                line.latency_us,
                line.times_unfiltered
            )?;
        }
    }
    Ok(())
}

impl Pass {
    fn name(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Percent(percent) => format!("{percent} %"),
        }
    }

    /// Numbers that have nothing to do with the vectors.
    fn allowed(self, rows: u32) -> RoaringBitmap {
        let scattered = |number: u32| number.wrapping_mul(0x9e37_79b1) >> 8;
        match self {
            Self::Number(count) => (0..count.min(rows))
                .map(|place| place * (rows / count))
                .collect(),
            Self::Percent(percent) => (0..rows)
                .filter(|number| scattered(*number) % 100 < percent)
                .collect(),
        }
    }
}

fn query<'a>(
    vector: &'a [f32],
    allowed: Option<&'a RoaringBitmap>,
    exact: bool,
) -> VectorQuery<'a> {
    VectorQuery {
        vector,
        limit: NEIGHBOURS,
        ef: GraphSettings::default().ef_search,
        widens: true,
        exact,
        allowed,
    }
}

fn latency_us(space: &SingleSegment, queries: &Queries, allowed: Option<&RoaringBitmap>) -> f64 {
    let started_at = Instant::now();
    for vector in &queries.vectors {
        space.search(&query(vector, allowed, false));
    }
    started_at.elapsed().as_secs_f64() * 1e6 / queries.vectors.len() as f64
}

/// The share of the nearest that may be found and are found; 1 when there are none.
fn recall(space: &SingleSegment, queries: &Queries, allowed: &RoaringBitmap) -> f64 {
    let (mut found, mut wanted) = (0, 0);
    for vector in queries.vectors.iter().take(MAX_QUERIES) {
        let right = space.search(&query(vector, Some(allowed), true));
        let hits = space.search(&query(vector, Some(allowed), false));
        let is_found = |(number, _): &&(u32, f32)| hits.iter().any(|(hit, _)| hit == number);
        found += right.iter().filter(is_found).count();
        wanted += right.len();
    }
    if wanted == 0 {
        1.0
    } else {
        f64::from(found as u32) / f64::from(wanted as u32)
    }
}
