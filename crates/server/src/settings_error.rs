//! Why settings were refused, in sentences that name setting, value and what is possible.

use std::path::PathBuf;

use figment::error::{Actual, Kind};
use figment::{Error, Source};

/// Settings that a flag of the command line can set.
const FLAGS: [(&str, &str); 6] = [
    ("server.listen", "--listen"),
    ("storage.data_dir", "--data"),
    ("encoder.model", "--model"),
    ("reranker.model", "--reranker"),
    ("access.insecure", "--insecure"),
    ("access.keys_file", "--keys-file"),
];

/// Why settings were refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file named by `--config` is not there.
    #[error("no settings file at {path}", path = path.display())]
    MissingFile {
        /// The path that was given.
        path: PathBuf,
    },
    /// A key is unknown, or a value is of the wrong type or form.
    #[error("settings: {0}")]
    Invalid(String),
    /// One forward pass could never be filled from the queue.
    #[error(
        "settings: queue.max_batch_tokens is {batch}, and must not exceed queue.max_query_tokens, queue.max_rerank_tokens or queue.max_bulk_tokens, of which the smallest is {smallest}"
    )]
    BatchOverQueue {
        /// Tokens of one pass.
        batch: usize,
        /// Tokens of the smallest lane.
        smallest: usize,
    },
    /// Work on the store would never end.
    #[error(
        "settings: {key} is {ratio}, and must be 0, which switches it off, or at least {min_ratio}"
    )]
    StoreRatio {
        /// Section and key.
        key: &'static str,
        /// What was given.
        ratio: f64,
        /// What would be enough.
        min_ratio: f64,
    },
    /// The cluster that is to keep the documents cannot be used so.
    #[error("settings: {0}")]
    Qdrant(String),
    /// A model cannot have this name.
    #[error(
        "settings: [{section}.{name}] has a name that a model cannot have: 1 to 64 letters, digits, '_' and '-' are allowed, and \"default\" is the one in [encoder] or [reranker]"
    )]
    ModelName {
        /// Its section.
        section: &'static str,
        /// What was given.
        name: String,
    },
    /// What should be the address of a collector is none.
    #[error(
        "settings: telemetry.otlp_endpoint is {endpoint:?}, and must be an address such as \"http://localhost:4318\""
    )]
    OtlpEndpoint {
        /// What was given.
        endpoint: String,
    },
    /// More than all requests cannot be traced, nor less than none.
    #[error("settings: telemetry.traced_part is {part}, and must be 0 to 1")]
    TracedPart {
        /// What was given.
        part: f64,
    },
    /// TLS is half set.
    #[error(
        "settings: server.tls.{missing} is missing; TLS needs server.tls.certificate and server.tls.key, and server.tls.client_ca is nothing without them"
    )]
    TlsPart {
        /// The key in `[server.tls]`.
        missing: &'static str,
    },
    /// What should name the pages of a site does not.
    #[error(
        "settings: server.allowed_origins has {origin:?}, which is neither an origin such as \"https://search.example.org\" nor \"*\""
    )]
    Origin {
        /// What was given.
        origin: String,
    },
}

impl From<Box<Error>> for SettingsError {
    /// figment's own words name places in our sources, so nothing of them is kept.
    fn from(error: Box<Error>) -> Self {
        Self::Invalid(sentence(&error))
    }
}

/// What is wrong with a value, and where it came from.
fn sentence(error: &Error) -> String {
    let mut path = error.path.clone();
    if let Kind::UnknownField(name, _) = &error.kind
        && path.last() != Some(name)
    {
        path.push(name.clone());
    }
    let key = path.join(".");
    let from = from(error, &key);
    let what = match &error.kind {
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            format!("is {}, and must be {}", given(actual), wanted(expected))
        }
        Kind::UnknownVariant(name, possible) => {
            format!("is {name:?}, and must be one of {}", possible.join(", "))
        }
        Kind::UnknownField(_, possible) => format!(
            "is not a setting; there are {} beside it",
            possible.join(", ")
        ),
        Kind::Message(message) if key.is_empty() => message.clone(),
        Kind::Message(message) => format!("is not possible: {message}"),
        kind => kind.to_string(),
    };
    match (key.is_empty(), from) {
        (true, Some(from)) => format!("{from}: {what}"),
        (true, None) => what,
        (false, Some(from)) => format!("{key} (from {from}) {what}"),
        (false, None) => format!("{key} {what}"),
    }
}

/// The flag, variable or file that a value came from.
fn from(error: &Error, key: &str) -> Option<String> {
    let metadata = error.metadata.as_ref()?;
    if metadata.name.contains("environment") {
        let name = key.to_uppercase().replace('.', "__");
        return Some(format!("the environment variable SIAMESE__{name}"));
    }
    match &metadata.source {
        Some(Source::File(path)) => Some(path.display().to_string()),
        _ => FLAGS
            .iter()
            .find(|(of, _)| *of == key)
            .map(|(_, flag)| (*flag).to_owned()),
    }
}

fn given(actual: &Actual) -> String {
    match actual {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Str(text) => format!("{text:?}"),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// What serde calls by the names of Rust's types.
fn wanted(expected: &str) -> &str {
    match expected {
        "u16" | "u32" | "u64" | "usize" => "a whole number of 0 or more",
        "a nonzero u32" | "a nonzero u64" | "a nonzero usize" => "a whole number of 1 or more",
        "f32" | "f64" => "a number",
        "path string" => "a path",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        _ if expected.starts_with("struct ") => "a table of settings",
        _ => expected,
    }
}
