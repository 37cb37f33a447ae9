//! Requests to a collector, made on the thread that asks for them.

use std::time::Duration;

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

/// Time for one request.
pub(super) const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a collector answers is a few bytes.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// Sends requests and waits for their answers.
#[derive(Debug, Clone)]
pub(super) struct Sender(Agent);

impl Sender {
    pub(super) fn new() -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier);
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .timeout_global(Some(EXPORT_TIMEOUT));
        Self(config.build().into())
    }

    /// # Errors
    /// When there is no answer, or one that is too large.
    pub(super) fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (head, body) = request.into_parts();
        let answer = self.0.run(Request::from_parts(head, &*body))?;
        let (head, mut body) = answer.into_parts();
        let bytes = body.with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
        Ok(Response::from_parts(head, bytes.into()))
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        Ok(self.send(request)?)
    }
}
