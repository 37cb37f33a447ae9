//! Traces for a collector.

use serde::Deserialize;

use super::SettingsError;

/// Where a collector takes traces, below its address.
const TRACES_PATH: &str = "/v1/traces";

/// `[telemetry]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySettings {
    otlp_endpoint: String,
    /// What the service is called in traces.
    pub service_name: String,
    /// The part of requests that are traced, 0 to 1, among those whose callers have no trace.
    pub traced_part: f64,
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
    fn traces_go_to_the_usual_path_unless_the_address_has_one() {
        let endpoint = |address: &str| {
            let settings = TelemetrySettings {
                otlp_endpoint: address.to_owned(),
                service_name: String::new(),
                traced_part: 1.0,
            };
            settings.check().ok()?;
            settings.traces_endpoint()
        };
        assert_eq!(endpoint(""), None);
        assert_eq!(endpoint("localhost:4318"), None);
        let usual = Some("http://localhost:4318/v1/traces".to_owned());
        assert_eq!(endpoint("http://localhost:4318"), usual);
        assert_eq!(endpoint("http://localhost:4318/"), usual);
        let own = "https://collector.example/otlp/v1/traces";
        assert_eq!(endpoint(own).as_deref(), Some(own));
    }
}
