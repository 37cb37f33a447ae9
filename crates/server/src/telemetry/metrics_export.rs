//! Metrics for a collector, sent from time to time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use opentelemetry_http::{Bytes, Request};
use opentelemetry_sdk::Resource;
use prost::Message;
use tokio::sync::oneshot;

use super::exposition::families;
use super::metric_points::{Period, request};
use super::resource::service_resource;
use super::sender::Sender;
use crate::config::TelemetrySettings;
use crate::metrics;

/// The environment's headers for a collector, as the standard of OpenTelemetry names them: those of metrics count
/// more than those of everything.
const HEADER_VARIABLES: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS",
];

/// Where metrics go.
#[derive(Debug)]
pub(crate) struct MetricsExport {
    sender: Sender,
    endpoint: String,
    headers: Vec<(String, String)>,
    resource: Resource,
    began_at: SystemTime,
    /// Time between two looks at them.
    pub(crate) period: Duration,
    /// Whether the last ones were not taken, which is logged once.
    is_failing: AtomicBool,
}

impl MetricsExport {
    /// As the settings say; nothing when they name no collector of metrics.
    pub(crate) fn open(settings: &TelemetrySettings) -> Option<Self> {
        let variable = HEADER_VARIABLES
            .iter()
            .find_map(|name| std::env::var(name).ok());
        Some(Self {
            endpoint: settings.metrics_endpoint()?,
            period: settings.metrics_period()?,
            sender: Sender::new(),
            headers: headers(&variable.unwrap_or_default()),
            resource: service_resource(settings),
            began_at: SystemTime::now(),
            is_failing: false.into(),
        })
    }

    /// Sends what `/metrics` says now, and waits for the answer; whoever waits no longer stops nothing. What is not
    /// taken is thrown away: all is counted from the start of the service, so that the next time says it as well.
    pub(crate) async fn send(self: &Arc<Self>, text: String) {
        let (told, answered) = oneshot::channel::<()>();
        let export = Arc::clone(self);
        // A thread of the runtime would keep the end of the service waiting for a collector that is silent.
        let thread = std::thread::Builder::new().name("metrics-export".to_owned());
        let started = thread.spawn(move || {
            export.deliver(&text);
            drop(told);
        });
        if started.is_ok() {
            let _closed = answered.await;
        }
    }

    fn deliver(&self, text: &str) {
        let sent = self.try_send(text);
        metrics::metrics_exported(sent.is_ok());
        let was_failing = self.is_failing.swap(sent.is_err(), Ordering::Relaxed);
        match (sent, was_failing) {
            (Err(error), false) => {
                tracing::warn!(error, "the collector of metrics does not take them")
            }
            (Ok(()), true) => tracing::info!("the collector of metrics takes them again"),
            _ => {}
        }
    }

    fn try_send(&self, text: &str) -> Result<(), String> {
        let period = Period {
            began_at: self.began_at,
            until: SystemTime::now(),
        };
        let body = request(families(text), &self.resource, period).encode_to_vec();
        let mut to_send =
            Request::post(&self.endpoint).header("content-type", "application/x-protobuf");
        for (name, value) in &self.headers {
            to_send = to_send.header(name, value);
        }
        let to_send = to_send
            .body(Bytes::from(body))
            .map_err(|error| error.to_string())?;
        let answer = self
            .sender
            .send(to_send)
            .map_err(|error| error.to_string())?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(format!("it answered {}", answer.status())),
        }
    }
}

/// Headers in the form `name=value,name=value`, in which values may be percent-encoded.
fn headers(variable: &str) -> Vec<(String, String)> {
    let pairs = variable.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| {
            let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy();
            (name.trim().to_owned(), value.into_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_the_standard_writes_them() {
        let read = headers(" api-key = secret%20one ,x=a=b,nothing");
        let expected = [("api-key", "secret one"), ("x", "a=b")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read, expected);
        assert_eq!(headers(""), []);
    }
}
