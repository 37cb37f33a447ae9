//! A service with a tiny model and a few documents, which all inputs ask.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use siamese_server::ModelFolders;
use siamese_server::config::{Overrides, Settings};
use siamese_server::fuzzing::Service;
use tempfile::TempDir;

/// What keeps the process small.
const SETTINGS: &str = "
[storage]
cache_bytes = 16777216
max_memory_bytes = 134217728
[limits]
max_collections = 8
max_cursor_memory_bytes = 67108864
[encoder]
threads = 1
[log]
filter = 'off'
";

/// Requests that may store something, after which all that is deleted.
const REQUESTS_OF_ROUND: usize = 2000;
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
/// Refusals of a service that has no room, which is no failure.
const NO_ROOM: [u16; 2] = [503, 507];

static SERVICE: LazyLock<SmallService> = LazyLock::new(SmallService::start);

/// The service of the process.
#[derive(Debug)]
pub struct SmallService {
    service: Service,
    requests: AtomicUsize,
    _folder: TempDir,
}

/// A list that goes on by a cursor.
#[derive(Debug)]
pub struct List {
    /// Its address up to the cursor.
    pub address: String,
    /// One that the service gave.
    pub cursor: String,
}

impl SmallService {
    pub fn get() -> &'static Self {
        &SERVICE
    }

    fn start() -> Self {
        let folder = crate::in_memory();
        let config_file = folder.path().join("siamese.toml");
        fs_err::write(&config_file, SETTINGS).expect("memory for a file");
        let overrides = Overrides {
            config_file: Some(config_file),
            data_dir: Some(folder.path().join("data")),
            ..Overrides::default()
        };
        let settings = Settings::load(&overrides).expect("settings");
        let model = crate::models().join("model2vec");
        let models = ModelFolders::new(model, |_| Err("there is none".to_owned()));
        let service = Service::open(&settings, &models).expect("a service");
        let service = Self {
            service,
            requests: AtomicUsize::new(0),
            _folder: folder,
        };
        service.fill();
        service
    }

    /// Asks the service. Returns the status; `None` for what no request can be.
    ///
    /// # Panics
    /// When the service has failed.
    pub fn ask(&self, method: &str, address: &str, media_type: &str, body: &[u8]) -> Option<u16> {
        let leaves_something = !matches!(method, "GET" | "HEAD");
        let requests = self
            .requests
            .fetch_add(leaves_something.into(), Ordering::Relaxed);
        if leaves_something && requests % REQUESTS_OF_ROUND == REQUESTS_OF_ROUND - 1 {
            self.clear();
            self.fill();
        }
        let headers = [("content-type", media_type)];
        let (status, answer) = self
            .service
            .answer(method, address, &headers, body.to_vec())?;
        let has_failed = status >= 500 && !NO_ROOM.contains(&status);
        let answer = String::from_utf8_lossy(&answer);
        assert!(!has_failed, "{method} {address}: {status} {answer}");
        Some(status)
    }

    /// Lists of two pages and more.
    pub fn lists(&self) -> Vec<List> {
        let job = self.job();
        let addresses = [
            "/search?q=lamp&top_k=2".to_owned(),
            "/search?q=lamp&top_k=1&mode=lexical".to_owned(),
            "/feedback?limit=1".to_owned(),
            format!("/jobs/{job}/result?limit=1"),
        ];
        addresses
            .map(|address| {
                let page = self.json("GET", &address, &[], &Value::Null);
                let cursor = page["next_cursor"].as_str();
                List {
                    cursor: cursor.expect("there is another page").to_owned(),
                    address: format!("{address}&cursor="),
                }
            })
            .into()
    }

    /// A job that has found something.
    fn job(&self) -> String {
        let headers = [JSON[0], ("prefer", "respond-async")];
        let wanted = json!({ "min_score": -1.0 });
        let started = self.json("POST", "/duplicates", &headers, &wanted);
        let id = started["job"].as_str().expect("a job").to_owned();
        while self.json("GET", &format!("/jobs/{id}"), &[], &Value::Null)["state"] != "done" {
            std::thread::sleep(Duration::from_millis(5));
        }
        id
    }

    fn fill(&self) {
        let texts = [
            "a red lamp",
            "the lamp on the table",
            "two words",
            "a lamp of wood",
        ];
        let document = |(number, text): (usize, &&str)| {
            json!({ "id": format!("d{number}"), "title": "A title", "text": text,
                    "metadata": { "n": number, "tags": ["a", "b"] } })
        };
        let documents: Vec<Value> = texts.iter().enumerate().map(document).collect();
        let documents = json!({ "documents": documents });
        self.json("POST", "/documents", &JSON, &documents);
        let judgements = ["d0", "d1", "d2"]
            .map(|document| json!({ "query": "lamp", "document": document, "useful": true }));
        self.json(
            "POST",
            "/feedback",
            &JSON,
            &json!({ "feedback": judgements }),
        );
    }

    /// Deletes all that requests have left.
    fn clear(&self) {
        let names = |address: &str, list: &str| -> Vec<String> {
            let found = self.json("GET", address, &[], &Value::Null);
            let found = found[list].as_array().cloned().unwrap_or_default();
            let names = found.iter().filter_map(|one| one["name"].as_str());
            names.map(str::to_owned).collect()
        };
        let lists = ["aliases", "collections", "snapshots"];
        for list in lists {
            for name in names(&format!("/{list}"), list) {
                let address = format!("/{list}/{name}");
                self.service.answer("DELETE", &address, &[], Vec::new());
            }
        }
        let settings = json!({}).to_string().into_bytes();
        self.service
            .answer("PUT", "/collections/default", &JSON, settings);
    }

    /// The answer to a request of our own.
    fn json(&self, method: &str, address: &str, headers: &[(&str, &str)], body: &Value) -> Value {
        let body = match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        let answer = self.service.answer(method, address, headers, body);
        let (status, answer) = answer.expect("a request of our own");
        let json = serde_json::from_slice(&answer).unwrap_or_default();
        assert!(status < 300, "{method} {address}: {status} {json}");
        json
    }
}
