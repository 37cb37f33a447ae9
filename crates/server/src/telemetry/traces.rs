//! Requests as traces of OpenTelemetry: one span for the request, and one below it for each part of its work.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Span, SpanContext, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};

use super::collector::Collector;
use super::resource::service_resource;
use super::timeline::{Part, Parts};
use crate::config::TelemetrySettings;

/// Spans that may wait for the collector; a request has one to ten. More are thrown away.
const MAX_WAITING_SPANS: usize = 4096;
/// Spans that are sent together.
const MAX_SENT_SPANS: usize = 512;
/// Time for which spans are gathered.
const GATHERING: Duration = Duration::from_secs(2);
/// Time for the last spans when the service ends.
const MAX_FLUSH_TIME: Duration = Duration::from_secs(1);

/// The header that says which trace a request belongs to (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Where traces go.
#[derive(Debug, Clone)]
pub(crate) struct Traces {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
}

/// Why there can be no traces.
#[derive(Debug, thiserror::Error)]
#[error("telemetry.otlp_endpoint: {0}")]
pub struct TelemetryError(#[from] opentelemetry_otlp::ExporterBuildError);

/// The trace of one request.
#[derive(Debug)]
pub(super) struct RequestTrace {
    tracer: SdkTracer,
    span: opentelemetry_sdk::trace::Span,
    began_at: SystemTime,
}

impl Traces {
    /// As the settings say; nothing when they name no collector. Spans are sent by a thread of their own, and nothing
    /// ever waits for it.
    ///
    /// # Errors
    /// When the address of the collector is none.
    pub(crate) fn open(settings: &TelemetrySettings) -> Result<Option<Self>, TelemetryError> {
        let Some(endpoint) = settings.traces_endpoint() else {
            return Ok(None);
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_WAITING_SPANS)
            .with_max_export_batch_size(MAX_SENT_SPANS)
            .with_scheduled_delay(GATHERING);
        let processor = BatchSpanProcessor::builder(Collector::at(&endpoint)?);
        let processor = processor.with_batch_config(config.build()).build();
        // Whoever calls has decided for the whole trace.
        let own = Sampler::TraceIdRatioBased(settings.traced_part);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::ParentBased(Box::new(own)))
            .with_resource(service_resource(settings))
            .build();
        Ok(Some(Self {
            tracer: provider.tracer("siamese"),
            provider,
        }))
    }

    /// Begins the trace of a request, or goes on with the caller's.
    pub(super) fn begin(
        &self,
        method: &'static str,
        route: &str,
        headers: &HeaderMap,
    ) -> RequestTrace {
        let callers = HeaderExtractor(headers);
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &callers);
        let began_at = SystemTime::now();
        let span = self.tracer.span_builder(format!("{method} {route}"));
        let span = span
            .with_kind(SpanKind::Server)
            .with_start_time(began_at)
            .with_attributes([
                KeyValue::new("http.request.method", method),
                KeyValue::new("http.route", route.to_owned()),
            ])
            .start_with_context(&self.tracer, &parent);
        RequestTrace {
            tracer: self.tracer.clone(),
            span,
            began_at,
        }
    }

    /// Sends what waits, for a moment.
    pub(crate) fn finish(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(MAX_FLUSH_TIME) {
            tracing::warn!(%error, "the last traces may be missing");
        }
    }
}

impl RequestTrace {
    /// What its log lines say of it.
    pub(super) fn id(&self) -> String {
        self.span.span_context().trace_id().to_string()
    }

    /// What the answer says of it.
    pub(super) fn traceparent(&self) -> Option<(HeaderName, HeaderValue)> {
        let context: &SpanContext = self.span.span_context();
        let value = format!(
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags().to_u8()
        );
        Some((TRACEPARENT, value.try_into().ok()?))
    }

    /// Ends it with what its time went into.
    pub(super) fn end(mut self, status: StatusCode, took: Duration, parts: &Parts) {
        if !self.span.is_recording() {
            return;
        }
        let code = i64::from(status.as_u16());
        self.span
            .set_attribute(KeyValue::new("http.response.status_code", code));
        if status.is_server_error() {
            self.span.set_status(Status::error(""));
        }
        let context = self.span.span_context().clone();
        let context = Context::new().with_remote_span_context(context);
        for part in &parts.first {
            self.add(part, &context);
        }
        self.span.end_with_timestamp(self.began_at + took);
    }

    fn add(&self, part: &Part, of: &Context) {
        let began_at = self.began_at + part.after;
        let span = self.tracer.span_builder(part.step.label());
        let mut span = span
            .with_kind(SpanKind::Internal)
            .with_start_time(began_at)
            .start_with_context(&self.tracer, of);
        span.end_with_timestamp(began_at + part.took);
    }
}
