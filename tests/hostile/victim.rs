//! The process under attack: default settings, and a collection that somebody else searches.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_tests::{Client, Server, ServerOptions};
use tempfile::TempDir;
use ureq::http::Method;

use crate::attacker::Attacker;
use crate::form;
use crate::process::Process;

/// The collection of other callers.
pub(crate) const BYSTANDERS: &str = "bystanders";
const BYSTANDING_DOCUMENTS: usize = 300;
/// Time in which a service that was attacked must be as before.
const RECOVERY: Duration = Duration::from_secs(30);
/// Longer than any request of a caller that attacks nobody takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server with its folder.
#[derive(Debug)]
pub(crate) struct Victim {
    pub(crate) server: Server,
    client: Client,
    found: Value,
    folder: TempDir,
}

/// A model of a few kilobytes: as wrong as random weights are, and quick.
pub(crate) fn small_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/encoder/tests/fixtures/models/bert-old-dialect")
}

impl Victim {
    /// Default settings; the full form takes the default model, too.
    pub(crate) fn start() -> Self {
        if form::is_full() {
            Self::start_with(|options| options)
        } else {
            Self::start_small()
        }
    }

    /// Default settings and a small model, whatever the form: for attacks that need much data.
    pub(crate) fn start_small() -> Self {
        Self::start_with(|options| options.model(&small_model()))
    }

    pub(crate) fn start_with(change: impl FnOnce(ServerOptions) -> ServerOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = ServerOptions::new(&folder.path().join("data"));
        let server = change(options.log_to(&folder.path().join("log"))).start();
        let address = format!("http://127.0.0.1:{}", server.port());
        let mut victim = Self {
            server,
            client: Client::with_patience(address, PATIENCE),
            found: Value::Null,
            folder,
        };
        victim.prepare();
        victim
    }

    fn prepare(&mut self) {
        let document = |n: usize| json!({"id": format!("b{n}"), "text": format!("bystander {n}")});
        let documents: Vec<_> = (0..BYSTANDING_DOCUMENTS).map(document).collect();
        let client = self.client();
        let path = format!("/collections/{BYSTANDERS}");
        client.send(Method::PUT, &path, Some("application/json"), b"{}");
        let documents = json!({"documents": documents});
        client.post(&format!("{path}/documents"), documents).ok();
        self.found = self.find().expect("a search is answered");
    }

    /// The hits of a search that nothing but an attack could change.
    fn find(&self) -> Option<Value> {
        let path = format!("/collections/{BYSTANDERS}/search");
        let body = json!({"query": "bystander 7", "top_k": 20});
        let answer = self.client().try_json(Method::POST, &path, &body)?;
        let hits = answer.json()["hits"].take();
        hits.is_array().then_some(hits)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn process(&self) -> Process {
        Process(self.server.pid())
    }

    pub(crate) fn attacker(&self) -> Attacker {
        Attacker::new(self.server.port())
    }

    /// Size of what has been logged so far, bytes.
    pub(crate) fn log_bytes(&self) -> u64 {
        fs_err::metadata(self.folder.path().join("log")).map_or(0, |log| log.len())
    }

    /// Waits until all is as before: ready, the same hits, a write that can be read.
    pub(crate) fn recovered(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + RECOVERY;
        loop {
            let state = self.is_as_before();
            if state.is_ok() || Instant::now() > deadline {
                return state;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn is_as_before(&mut self) -> Result<(), String> {
        if !self.server.is_running() {
            return Err("the process has ended".to_owned());
        }
        let ready = self
            .client()
            .try_get("/readyz")
            .ok_or("no answer of /readyz")?;
        if ready.status != 200 {
            return Err(format!("/readyz: {} {}", ready.status, ready.text));
        }
        let found = self.find().ok_or("a search fails")?;
        if !same_hits(&found, &self.found) {
            return Err("a search finds something else".to_owned());
        }
        self.writes()
    }

    fn writes(&self) -> Result<(), String> {
        let body = json!({"documents": [{"id": "after", "text": "written afterwards"}]});
        let written = self.client().try_json(Method::POST, "/documents", &body);
        let written = written.ok_or("no answer to a write")?;
        if written.status != 200 {
            return Err(format!("a write: {} {}", written.status, written.text));
        }
        let read = self.client().try_get("/documents/after");
        let is_read = read.is_some_and(|read| read.json()["text"] == "written afterwards");
        is_read
            .then_some(())
            .ok_or_else(|| "what was written is not read".to_owned())
    }
}

/// Whether two searches found the same, whatever the last digit of a score.
fn same_hits(one: &Value, other: &Value) -> bool {
    let ids = |hits: &Value| -> Option<Vec<Value>> {
        let hits = hits.as_array()?;
        Some(hits.iter().map(|hit| hit["id"].clone()).collect())
    };
    ids(one) == ids(other)
}
