//! The HTTP service: the only place where text meets vectors.
//!
//! A request passes the layers of `router`, is checked in `routes`, and becomes work in `service`,
//! which asks the `queue` for vectors and the index for documents. Handlers never block: whatever
//! may take long runs on a blocking thread.

pub mod access;
pub mod config;

mod answer;
mod app;
mod backend;
mod blocking;
mod body_budget;
mod body_encoding;
mod connections;
mod error;
mod exit;
mod extract;
mod file_stamp;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod host;
mod index_error;
mod jobs;
mod listen_address;
mod machine_memory;
pub mod mcp;
mod metrics;
mod middleware;
mod models;
mod open_files;
mod openapi;
mod origin;
pub mod passages;
mod process_memory;
mod queue;
mod request_part;
mod router;
mod routes;
mod runtime;
mod serve;
mod service;
mod settings_error;
mod stall_watch;
mod telemetry;
mod thread_slice;
mod tidy_path;
mod tls;
pub mod training;
mod turns;

pub use backend::OpenError;
pub use exit::ForcedEnd;
pub use models::ModelFolders;
pub use openapi::{DescribeError, yaml as openapi_yaml};
pub use routes::snapshots::SnapshotContents;
pub use runtime::runtime;
pub use serve::{ServeError, open_encoder, serve};
pub use telemetry::TelemetryError;
pub use tls::TlsError;

use router::router;
