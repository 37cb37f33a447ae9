//! A running service, spoken to over HTTP.

mod address;
mod jobs;
mod tools;

use std::io::{BufRead, BufReader, ErrorKind};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;
use ureq::http::{HeaderValue, Request, Response, StatusCode, header};
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, SendBody};

pub(crate) use self::address::{Address, Connection, collection_name};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Long texts on a slow processor take their time.
const READ_TIMEOUT: Duration = Duration::from_secs(600);
/// Answers are read whole up to this size; the largest are matrices of similarities.
const MAX_ANSWER_BYTES: u64 = 1 << 28;
/// Times a busy service is asked again.
const MAX_ATTEMPTS: usize = 60;

/// One service and one of its collections.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    agent: Agent,
    url: String,
    collection: String,
}

/// Why the service did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    /// Nothing answered, or the answer broke off.
    #[error("no answer from {url} ({source}){}", advice(source))]
    Unreachable {
        /// The service's address.
        url: String,
        /// What happened.
        source: Box<ureq::Error>,
    },
    /// It is busy or still loading, or the budget of the key is used up.
    #[error("the service is not ready for this: {detail}")]
    Busy {
        /// Its own words.
        detail: String,
        /// When to ask again.
        retry_after: Duration,
    },
    /// It refused, with a problem document.
    #[error("{detail}{place} ({code})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What happened, in its words.
        detail: String,
        /// ` at /pointer`, or nothing.
        place: String,
        /// The word to act on.
        code: String,
    },
    /// What answered is no siamese service.
    #[error("{url} answered {status} without a problem document; is a siamese service there?")]
    Foreign {
        /// The address that was asked.
        url: String,
        /// HTTP status.
        status: u16,
    },
}

/// The parts of a problem document (RFC 9457) that people are shown.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Problem {
    /// What happened.
    pub(crate) detail: String,
    /// The word to act on.
    pub(crate) code: String,
    /// The field at fault.
    pub(crate) pointer: Option<String>,
}

impl Problem {
    /// ` at /pointer`, or nothing.
    pub(crate) fn place(&self) -> String {
        let pointer = self
            .pointer
            .as_deref()
            .filter(|pointer| !pointer.is_empty());
        pointer
            .map(|pointer| format!(" at {pointer}"))
            .unwrap_or_default()
    }
}

/// Puts a key into each request.
struct WithKey(HeaderValue);

impl Middleware for WithKey {
    fn handle(
        &self,
        mut request: Request<SendBody<'_>>,
        next: MiddlewareNext<'_>,
    ) -> Result<Response<ureq::Body>, ureq::Error> {
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, self.0.clone());
        next.handle(request)
    }
}

impl Service {
    /// The service that `connection` names. Nothing is sent yet.
    pub(crate) fn new(connection: &Connection) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier);
        let mut config = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT));
        if connection.address.is_loopback() {
            // A proxy reaches another machine's loopback, not ours.
            config = config.proxy(None);
        }
        if let Some(bearer) = connection.address.bearer() {
            config = config.middleware(WithKey(bearer));
        }
        Self {
            agent: config.build().into(),
            url: connection.address.base_url().to_owned(),
            collection: connection.collection.clone(),
        }
    }

    /// A service as a whole; its default collection is the one at hand.
    pub(crate) fn at(address: &Address) -> Self {
        Self::new(&address.collection("default"))
    }

    /// Takes a snapshot and describes it.
    ///
    /// # Errors
    /// When the service refuses.
    pub(crate) fn create_snapshot(&self) -> Result<Value> {
        let post = self
            .agent
            .post(format!("{}/snapshots", self.url))
            .header(header::CONTENT_TYPE, "application/json");
        self.json(self.checked(post.send("{}"))?)
    }

    /// The list of snapshots.
    ///
    /// # Errors
    /// When the service refuses.
    pub(crate) fn snapshots(&self) -> Result<Value> {
        let get = self.agent.get(format!("{}/snapshots", self.url));
        self.json(self.checked(get.call())?)
    }

    /// The bytes of a snapshot.
    ///
    /// # Errors
    /// When the service refuses.
    pub(crate) fn download_snapshot(
        &self,
        name: &str,
    ) -> Result<impl std::io::Read + use<>, ServiceError> {
        let get = self.agent.get(format!("{}/snapshots/{name}", self.url));
        Ok(self.checked(get.call())?.into_body().into_reader())
    }

    /// The lines of the collection's export.
    ///
    /// # Errors
    /// When the service refuses.
    pub(crate) fn export(
        &self,
        with_vectors: bool,
    ) -> Result<impl std::io::Read + use<>, ServiceError> {
        let query = if with_vectors { "?include=vectors" } else { "" };
        let get = self.agent.get(self.collection_url("export") + query);
        Ok(self.checked(get.call())?.into_body().into_reader())
    }

    /// Pairs of texts of the collection that belong together, as lines.
    ///
    /// # Errors
    /// When the service refuses.
    pub(crate) fn training_pairs(
        &self,
        request: &Value,
    ) -> Result<impl std::io::Read + use<>, ServiceError> {
        let post = self
            .agent
            .post(self.collection_url("training/pairs"))
            .header(header::CONTENT_TYPE, "application/json");
        let response = self.checked(post.send(request.to_string()))?;
        Ok(response.into_body().into_reader())
    }

    /// Deletes a snapshot.
    ///
    /// # Errors
    /// When the service refuses.
    pub(crate) fn delete_snapshot(&self, name: &str) -> Result<(), ServiceError> {
        let delete = self.agent.delete(format!("{}/snapshots/{name}", self.url));
        self.checked(delete.call()).map(drop)
    }

    /// Returns whether it has loaded its model and its index.
    ///
    /// # Errors
    /// When nothing answers.
    pub(crate) fn is_ready(&self) -> Result<bool, ServiceError> {
        let url = format!("{}/readyz", self.url);
        let response = self.agent.get(&url).call();
        Ok(self.answered(response)?.status() == StatusCode::OK)
    }

    /// What `route` of the collection answers.
    ///
    /// # Errors
    /// When the service refuses, or its answer is not JSON.
    pub(crate) fn get(&self, route: &str) -> Result<Value> {
        let get = self.agent.get(self.collection_url(route));
        self.json(self.checked(get.call())?)
    }

    /// Deletes what is at `route` of the collection.
    ///
    /// # Errors
    /// When the service refuses.
    pub(crate) fn delete(&self, route: &str) -> Result<(), ServiceError> {
        let delete = self.agent.delete(self.collection_url(route));
        self.checked(delete.call()).map(drop)
    }

    /// Makes the collection if it is not there. Who may only write cannot look, and is told when it writes.
    ///
    /// # Errors
    /// When the service refuses.
    pub(crate) fn ensure_collection(&self) -> Result<(), ServiceError> {
        let url = self.collection_address();
        match self.checked(self.agent.get(&url).call()) {
            Err(ServiceError::Refused {
                status: 403, code, ..
            }) if code == "scope_missing" => Ok(()),
            Err(ServiceError::Refused { status: 404, .. }) => {
                self.put_collection(&Value::Object(serde_json::Map::new()))
            }
            outcome => outcome.map(drop),
        }
    }

    /// Makes the collection with `settings`, or finds it with them.
    ///
    /// # Errors
    /// When the service refuses, as it does when the collection holds documents and has others.
    pub(crate) fn put_collection(&self, settings: &Value) -> Result<(), ServiceError> {
        let put = self
            .agent
            .put(self.collection_address())
            .header(header::CONTENT_TYPE, "application/json");
        self.checked(put.send(settings.to_string())).map(drop)
    }

    /// Deletes the collection with everything in it.
    ///
    /// # Errors
    /// When the service refuses.
    pub(crate) fn delete_collection(&self) -> Result<(), ServiceError> {
        let delete = self.agent.delete(self.collection_address());
        self.checked(delete.call()).map(drop)
    }

    /// The collection's description; `None` when it is not there.
    ///
    /// # Errors
    /// When the service refuses, or its answer is not JSON.
    pub(crate) fn describe_collection(&self) -> Result<Option<Value>> {
        match self.checked(self.agent.get(self.collection_address()).call()) {
            Err(ServiceError::Refused { status: 404, .. }) => Ok(None),
            outcome => self.json(outcome?).map(Some),
        }
    }

    /// How much there is of everything.
    ///
    /// # Errors
    /// When the service refuses, or its answer is not JSON.
    pub(crate) fn stats(&self) -> Result<Value> {
        let get = self.agent.get(format!("{}/stats", self.url));
        self.json(self.checked(get.call())?)
    }

    /// The service's OpenAPI description.
    ///
    /// # Errors
    /// When the service refuses, or its answer is not JSON.
    pub(crate) fn api_description(&self) -> Result<Value> {
        let url = format!("{}/openapi.json", self.url);
        self.json(self.checked(self.agent.get(&url).call())?)
    }

    /// POSTs JSON to a route of the collection, such as `search`.
    ///
    /// # Errors
    /// When the service refuses, or its answer is not JSON.
    pub(crate) fn post(&self, route: &str, body: &Value) -> Result<Value> {
        let request = self
            .agent
            .post(self.collection_url(route))
            .header(header::CONTENT_TYPE, "application/json");
        let response = self.checked(request.send(body.to_string()))?;
        self.json(response)
    }

    /// As [`Self::post`]; a busy service is asked again after the time it names.
    ///
    /// # Errors
    /// As [`Self::post`], and when the service stays busy.
    pub(crate) fn post_patiently(&self, route: &str, body: &Value) -> Result<Value> {
        let mut attempts = 1;
        loop {
            let error = match self.post(route, body) {
                Err(error) if attempts < MAX_ATTEMPTS => error,
                outcome => return outcome,
            };
            match error.downcast_ref() {
                Some(ServiceError::Busy { retry_after, .. }) => std::thread::sleep(*retry_after),
                _ => return Err(error),
            }
            attempts += 1;
        }
    }

    fn json(&self, mut response: Response<ureq::Body>) -> Result<Value> {
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        let text = body
            .read_to_string()
            .map_err(|error| self.unreachable(error))?;
        serde_json::from_str(&text).with_context(|| format!("{} did not answer JSON", self.url))
    }

    /// POSTs documents, one JSON object a line; gives back the lines of the answer. With `allows_duplicates`,
    /// they are stored whatever the collection does with those that resemble others.
    ///
    /// # Errors
    /// When the service refuses the request as a whole.
    pub(crate) fn post_lines(
        &self,
        body: &[u8],
        allows_duplicates: bool,
    ) -> Result<impl Iterator<Item = std::io::Result<String>> + use<>, ServiceError> {
        let route = match allows_duplicates {
            true => "documents?on_duplicate=allow",
            false => "documents",
        };
        let request = self
            .agent
            .post(self.collection_url(route))
            .header(header::CONTENT_TYPE, "application/x-ndjson");
        let response = self.checked(request.send(body))?;
        Ok(BufReader::new(response.into_body().into_reader()).lines())
    }

    fn collection_address(&self) -> String {
        format!("{}/collections/{}", self.url, self.collection)
    }

    fn collection_url(&self, route: &str) -> String {
        format!("{}/collections/{}/{route}", self.url, self.collection)
    }

    fn answered(
        &self,
        response: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Response<ureq::Body>, ServiceError> {
        response.map_err(|error| self.unreachable(error))
    }

    /// Turns an error status into the sentence that the service gave with it.
    fn checked(
        &self,
        response: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Response<ureq::Body>, ServiceError> {
        let mut response = self.answered(response)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = retry_after(&response);
        let Ok(problem) = response.body_mut().read_json::<Problem>() else {
            return Err(ServiceError::Foreign {
                url: self.url.clone(),
                status: status.as_u16(),
            });
        };
        let comes_back = [
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::TOO_MANY_REQUESTS,
        ];
        if comes_back.contains(&status) {
            return Err(ServiceError::Busy {
                detail: problem.detail,
                retry_after,
            });
        }
        Err(ServiceError::Refused {
            status: status.as_u16(),
            place: problem.place(),
            detail: problem.detail,
            code: problem.code,
        })
    }

    fn unreachable(&self, error: ureq::Error) -> ServiceError {
        ServiceError::Unreachable {
            url: self.url.clone(),
            source: Box::new(error),
        }
    }
}

/// What to do about it, where nobody listens. A certificate that is refused comes from a service that runs.
fn advice(error: &ureq::Error) -> &'static str {
    match error {
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            "; start the service with: siamese serve"
        }
        _ => "",
    }
}

fn retry_after(response: &Response<ureq::Body>) -> Duration {
    let value = response.headers().get(header::RETRY_AFTER);
    let seconds = value.and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_sentence_that_names_the_field() {
        let json =
            r#"{"detail": "the text is empty", "code": "invalid_request", "pointer": "/text"}"#;
        let problem: Problem = serde_json::from_str(json).unwrap();
        assert_eq!(problem.place(), " at /text");
    }
}
