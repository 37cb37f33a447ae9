//! Traces and metrics for a collector.

use std::time::Duration;

use serde::Deserialize;

use super::SettingsError;
use super::values::any_time_ms;

/// Where a collector takes traces, below its address.
const TRACES_PATH: &str = "/v1/traces";
/// The same for metrics.
const METRICS_PATH: &str = "/v1/metrics";

/// `[telemetry]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySettings {
    otlp_endpoint: String,
    /// What the service is called in traces.
    pub service_name: String,
    /// The part of requests that are traced, 0 to 1, among those whose callers have no trace.
    pub traced_part: f64,
    #[serde(rename = "metrics_period_ms", deserialize_with = "any_time_ms")]
    metrics_period: Duration,
}

impl TelemetrySettings {
    /// The address that traces are sent to; nothing when there is no collector.
    pub fn traces_endpoint(&self) -> Option<String> {
        let address = self.otlp_endpoint.trim_end_matches('/');
        if address.is_empty() {
            return None;
        }
        let path = match address.split_once("://")?.1.contains('/') {
            true => "",
            false => TRACES_PATH,
        };
        Some(format!("{address}{path}"))
    }

    /// The address that metrics are sent to; nothing when there is no collector, or its address has a path that says
    /// nothing of where metrics go.
    pub fn metrics_endpoint(&self) -> Option<String> {
        let traces = self.traces_endpoint()?;
        let collector = traces.strip_suffix(TRACES_PATH)?;
        Some(format!("{collector}{METRICS_PATH}"))
    }

    /// The time between two sendings of metrics; nothing when they are not to be sent.
    pub fn metrics_period(&self) -> Option<Duration> {
        (!self.metrics_period.is_zero()).then_some(self.metrics_period)
    }

    /// # Errors
    /// An address that is none, and a part that is more than all.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let address = &self.otlp_endpoint;
        let has_scheme = ["http://", "https://"].map(|scheme| address.starts_with(scheme));
        if !address.is_empty() && has_scheme == [false, false] {
            let endpoint = address.clone();
            return Err(SettingsError::OtlpEndpoint { endpoint });
        }
        if !(0.0..=1.0).contains(&self.traced_part) {
            let part = self.traced_part;
            return Err(SettingsError::TracedPart { part });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_paths_are_taken_unless_the_address_has_one() {
        let endpoint = |address: &str| {
            let settings = TelemetrySettings {
                otlp_endpoint: address.to_owned(),
                service_name: String::new(),
                traced_part: 1.0,
                metrics_period: Duration::from_secs(60),
            };
            settings.check().ok()?;
            Some((settings.traces_endpoint()?, settings.metrics_endpoint()))
        };
        assert_eq!(endpoint(""), None);
        assert_eq!(endpoint("localhost:4318"), None);
        let paths = |base: &str| {
            let metrics = Some(format!("{base}/v1/metrics"));
            Some((format!("{base}/v1/traces"), metrics))
        };
        let usual = paths("http://localhost:4318");
        assert_eq!(endpoint("http://localhost:4318"), usual);
        assert_eq!(endpoint("http://localhost:4318/"), usual);
        let own = "https://collector.example/otlp/v1/traces";
        assert_eq!(endpoint(own), paths("https://collector.example/otlp"));
        let other = "https://collector.example/spans";
        assert_eq!(endpoint(other), Some((other.to_owned(), None)));
    }
}
