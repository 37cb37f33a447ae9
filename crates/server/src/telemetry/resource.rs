//! What a collector is told of the service itself.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

use crate::config::TelemetrySettings;

/// The service's name and version, and what the environment adds (`OTEL_RESOURCE_ATTRIBUTES`).
pub(super) fn service_resource(settings: &TelemetrySettings) -> Resource {
    let resource = Resource::builder()
        .with_service_name(settings.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    resource.build()
}
