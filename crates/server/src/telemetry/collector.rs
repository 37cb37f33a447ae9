//! The way to a collector of traces: OTLP over HTTP, in the background.

use std::time::Duration;

use opentelemetry_otlp::{ExporterBuildError, SpanExporter as OtlpExporter};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use super::sender::{EXPORT_TIMEOUT, Sender};
use crate::metrics;

/// Sends spans, and counts what becomes of them.
#[derive(Debug)]
pub(super) struct Collector {
    inner: OtlpExporter,
    /// Whether the last batch was not taken, which is logged once.
    is_failing: std::sync::atomic::AtomicBool,
}

impl Collector {
    /// The collector at an address such as `http://localhost:4318/v1/traces`. Nothing is sent yet.
    ///
    /// # Errors
    /// When that is no address, or the environment (`OTEL_EXPORTER_OTLP_..`) says what cannot be.
    pub(super) fn at(endpoint: &str) -> Result<Self, ExporterBuildError> {
        let exporter = OtlpExporter::builder().with_http();
        let exporter = exporter
            .with_http_client(Sender::new())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT);
        Ok(Self {
            inner: exporter.build()?,
            is_failing: false.into(),
        })
    }
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let sent = self.inner.export(batch).await;
        metrics::spans_exported(spans, sent.is_ok());
        let order = std::sync::atomic::Ordering::Relaxed;
        let was_failing = self.is_failing.swap(sent.is_err(), order);
        match (&sent, was_failing) {
            (Err(error), false) => {
                tracing::warn!(%error, "the collector of traces does not take them; they are thrown away meanwhile");
            }
            (Ok(()), true) => tracing::info!("the collector of traces takes them again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
