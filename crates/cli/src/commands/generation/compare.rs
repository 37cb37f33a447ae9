//! `siamese generation compare`

use std::io::{Write, stdout};

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::judged::Judged;
use super::report;
use crate::client::{Address, Service, collection_name};
use crate::commands::mode::Mode;

/// Compare a generation with the active one: what it finds, how good that is, and what it costs
///
/// Without --queries and --judgements, by the queries that the collection has kept (its setting keep_queries).
#[derive(Debug, clap::Args)]
pub(crate) struct Compare {
    /// The collection
    #[arg(value_parser = collection_name)]
    collection: String,
    /// The number of the generation, as listed
    number: u32,
    #[command(flatten)]
    judged: Judged,
    /// How to search
    #[arg(long, value_enum, default_value = "semantic")]
    mode: Mode,
    /// Hits of each query that are compared
    #[arg(long, value_name = "K", default_value_t = 10)]
    top_k: usize,
    /// How many of the queries that change most to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    changes: usize,
    /// Score every vector instead of those that the indexes lead to
    #[arg(long)]
    exact: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    address: Address,
}

impl Compare {
    pub(super) fn run(self) -> Result<()> {
        let queries = self.judged.read()?.unwrap_or_default();
        let service = Service::new(&self.address.collection(self.collection));
        let options = json!({
            "mode": self.mode.to_string(),
            "top_k": self.top_k,
            "changes": self.changes,
            "exact": self.exact,
        });
        let compared = compare(&service, self.number, &queries, &options)?;
        if self.json {
            writeln!(stdout(), "{compared}")?;
            return Ok(());
        }
        report::print(&compared)
    }
}

/// Has the service compare, and waits for the whole report.
pub(super) fn compare(
    service: &Service,
    number: u32,
    queries: &Map<String, Value>,
    options: &Value,
) -> Result<Value> {
    let mut body = queries.clone();
    body.extend(options.as_object().cloned().unwrap_or_default());
    let id = service.start_job(&format!("generations/{number}/compare"), &body.into())?;
    let mut job = service.wait_for_job(&id)?;
    if job["state"] != "done" {
        let state = job["state"].as_str().unwrap_or_default();
        let detail = job["error"]["detail"].as_str().unwrap_or_default();
        bail!("the comparison has ended: {state} {detail}");
    }
    let mut report = job["result"].take();
    report["changed"] = service.job_result(&id)?.into();
    Ok(report)
}
