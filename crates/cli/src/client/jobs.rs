//! Long work of a service, as a command waits for it.

use std::io::{BufRead, BufReader, IsTerminal, stderr};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use ureq::http::header;

use super::Service;

/// Time between two looks at a job.
const PAUSE: Duration = Duration::from_millis(300);

impl Service {
    /// What is known of a job.
    ///
    /// # Errors
    /// When the service refuses, or its answer is not JSON.
    pub(crate) fn job(&self, id: &str) -> Result<Value> {
        let get = self.agent.get(format!("{}/jobs/{id}", self.url));
        self.json(self.checked(get.call())?)
    }

    /// POSTs JSON to a route of the collection that makes a job of it. Returns the job's id.
    ///
    /// # Errors
    /// When the service refuses, or its answer is not JSON.
    pub(crate) fn start_job(&self, route: &str, body: &Value) -> Result<String> {
        let request = self
            .agent
            .post(self.collection_url(route))
            .header(header::CONTENT_TYPE, "application/json")
            .header("Prefer", "respond-async");
        let started = self.json(self.checked(request.send(body.to_string()))?)?;
        let id = started["job"].as_str();
        Ok(id.context("an answer without the id of a job")?.to_owned())
    }

    /// Waits until a job has ended, with a progress bar when somebody watches. Returns what is known of it then.
    ///
    /// # Errors
    /// When the service refuses, or its answer is not JSON.
    pub(crate) fn wait_for_job(&self, id: &str) -> Result<Value> {
        let bar = progress();
        loop {
            let job = self.job(id)?;
            if !matches!(job["state"].as_str(), Some("queued" | "running")) {
                bar.finish_and_clear();
                return Ok(job);
            }
            let progress = &job["progress"];
            bar.set_length(progress["total"].as_u64().unwrap_or_default());
            bar.set_position(progress["done"].as_u64().unwrap_or_default());
            bar.set_message(pace(&job));
            std::thread::sleep(PAUSE);
        }
    }

    /// What a job has found, line by line.
    ///
    /// # Errors
    /// When the service refuses, or a line is not JSON.
    pub(crate) fn job_result(&self, id: &str) -> Result<Vec<Value>> {
        let get = self
            .agent
            .get(format!("{}/jobs/{id}/result", self.url))
            .header(header::ACCEPT, "application/x-ndjson");
        let body = self.checked(get.call())?.into_body().into_reader();
        let lines = BufReader::new(body).lines();
        lines
            .map(|line| Ok(serde_json::from_str(&line?)?))
            .collect()
    }
}

/// What a job says of its pace.
fn pace(job: &Value) -> String {
    let unit = job["progress"]["unit"].as_str().unwrap_or_default();
    let mut pace = unit.to_owned();
    if let Some(tokens) = job["progress"]["tokens_per_s"].as_f64() {
        pace += &format!(", {tokens:.0} tokens/s");
    }
    if let Some(seconds) = job["eta_s"].as_u64() {
        pace += &format!(", {seconds} s left");
    }
    pace
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if !stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
