//! A plain HTTP client that treats every status as an answer.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Method, Request};
use ureq::tls::TlsConfig;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Speaks to one server.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    base_url: String,
    key: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The response headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The body of a 2xx answer as JSON.
    ///
    /// # Panics
    /// On any other status.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "{} {}",
            self.status,
            self.text
        );
        self.json()
    }

    /// Asserts that this is a problem document of this status and code, and returns it.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!(
            (self.status, body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.text
        );
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(body["status"], status);
        assert!(
            body["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty()),
            "{}",
            self.text
        );
        assert_eq!(
            body["request_id"].as_str(),
            self.headers["x-request-id"].to_str().ok()
        );
        body
    }
}

impl Client {
    /// A client for `base_url`, such as `http://127.0.0.1:8080`.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self::with_patience(base_url, PATIENCE)
    }

    /// A client that waits for an answer no longer than this.
    pub fn with_patience(base_url: impl Into<String>, patience: Duration) -> Self {
        Self::with(base_url, patience, TlsConfig::default())
    }

    /// A client that speaks TLS so.
    pub fn with_tls(base_url: impl Into<String>, tls: TlsConfig) -> Self {
        Self::with(base_url, PATIENCE, tls)
    }

    fn with(base_url: impl Into<String>, patience: Duration, tls: TlsConfig) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls)
            .timeout_global(Some(patience));
        Self {
            agent: config.build().into(),
            base_url: base_url.into(),
            key: None,
        }
    }

    /// The same with a key for the service.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            ..self.clone()
        }
    }

    /// GET.
    ///
    /// # Panics
    /// When the server cannot be reached.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, b"")
    }

    /// GET that may fail to connect.
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        self.try_send(Method::GET, path, None, b"").ok()
    }

    /// DELETE.
    ///
    /// # Panics
    /// When the server cannot be reached.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None, b"")
    }

    /// POST of a JSON value.
    ///
    /// # Panics
    /// When the server cannot be reached.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write json!({..}) in place"
    )]
    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.send(
            Method::POST,
            path,
            Some("application/json"),
            body.to_string().as_bytes(),
        )
    }

    /// Any request.
    ///
    /// # Panics
    /// When the server cannot be reached.
    #[track_caller]
    pub fn send(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Answer {
        self.try_send(method, path, content_type, body)
            .expect("the server answers")
    }

    /// A request with headers of its own, and a JSON body unless that is null.
    ///
    /// # Panics
    /// When the server cannot be reached.
    #[track_caller]
    pub fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let (content_type, body) = match body {
            Value::Null => (None, String::new()),
            body => (Some("application/json"), body.to_string()),
        };
        self.run(method, path, content_type, headers, body.as_bytes())
            .expect("the server answers")
    }

    /// Any request with a JSON body, unless that is null, to a server that may be gone before it
    /// has answered.
    pub fn try_json(&self, method: Method, path: &str, body: &Value) -> Option<Answer> {
        let (content_type, body) = match body {
            Value::Null => (None, String::new()),
            body => (Some("application/json"), body.to_string()),
        };
        self.try_send(method, path, content_type, body.as_bytes())
            .ok()
    }

    fn try_send(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        self.run(method, path, content_type, &[], body)
    }

    fn run(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base_url));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = if body.is_empty() && content_type.is_none() {
            self.agent.run(request.body(()).expect("a valid request"))?
        } else {
            self.agent
                .run(request.body(body.to_vec()).expect("a valid request"))?
        };
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response
                .body_mut()
                .with_config()
                .limit(1 << 30)
                .read_to_string()?,
        })
    }
}
