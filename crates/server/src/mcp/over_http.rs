//! The protocol at `/mcp`: streamable HTTP without sessions, each answer one JSON document.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, Request, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use rmcp::model::Extensions;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use super::handler::{Backend, Handler};
use super::tool::Tool;
use super::tool_call::{ToolAnswer, ToolCall};
use crate::access::{Principal, on_behalf_of};
use crate::connections::Connection;
use crate::middleware::{KeepsItsBody, REQUEST_ID};
use crate::telemetry::{Timeline, timeline};

/// Size of what a tool answers; a model could not read more, and the answer is in memory a few times.
const MAX_TOOL_ANSWER_BYTES: usize = 1 << 20;

/// Answers requests at `/mcp`. Clones are one.
#[derive(Clone)]
pub(crate) struct Mcp(StreamableHttpService<Handler<Routes>, NeverSessionManager>);

/// The service's own routes, asked on behalf of the caller.
#[derive(Debug, Clone)]
struct Routes(Router);

impl Mcp {
    /// Tools that ask these routes, which authorise but do not authenticate.
    pub(crate) fn new(routes: Router, max_body_bytes: usize) -> Self {
        let handler = Handler(Routes(routes));
        // Hosts and origins have been looked at by the time that a request comes here.
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(max_body_bytes)
            .disable_allowed_hosts()
            .disable_allowed_origins();
        let sessions = Arc::new(NeverSessionManager::default());
        Self(StreamableHttpService::new(
            move || Ok(handler.clone()),
            sessions,
            config,
        ))
    }

    /// Answers a message whose body has been read and counted.
    pub(crate) async fn answer(&self, mut head: Parts, body: Vec<u8>) -> Response {
        head.extensions.insert(timeline());
        let request = Request::from_parts(head, Full::<Bytes>::new(body.into()));
        let mut response = self.0.handle(request).await.map(Body::new);
        // What is wrong with a message is said in the words of the protocol.
        response.extensions_mut().insert(KeepsItsBody);
        response
    }
}

impl Backend for Routes {
    fn may_use(&self, tool: Tool, extensions: &Extensions) -> bool {
        let principal = principal(extensions);
        tool.need().is_some_and(|need| principal.may(need))
    }

    async fn call(&self, call: ToolCall, extensions: &Extensions) -> ToolAnswer {
        let principal = principal(extensions);
        let Some(request) = request(call, extensions) else {
            return ToolAnswer::failure("the call cannot be made a request");
        };
        let timeline = extensions.get::<Parts>();
        let timeline = timeline.and_then(|head| head.extensions.get::<Option<Arc<Timeline>>>());
        let timeline = timeline.cloned().flatten();
        let asked = on_behalf_of(principal, self.0.clone(), request);
        let response = match timeline {
            Some(timeline) => timeline.during(asked).await,
            None => asked.await,
        };
        answer(response).await
    }
}

/// Who has sent the message. Nobody, if no layer has looked at it.
fn principal(extensions: &Extensions) -> Principal {
    let head = extensions.get::<Parts>();
    let principal = head.and_then(|head| head.extensions.get::<Principal>());
    principal.cloned().unwrap_or(Principal::Nobody)
}

/// The request of a tool, with what logs say of the message.
fn request(call: ToolCall, extensions: &Extensions) -> Option<Request<Body>> {
    let mut request = Request::builder().method(call.method).uri(call.path);
    if let Some(head) = extensions.get::<Parts>() {
        if let Some(id) = head.headers.get(REQUEST_ID) {
            request = request.header(HeaderName::from_static(REQUEST_ID), id);
        }
        if let Some(connection) = head.extensions.get::<Arc<Connection>>() {
            request = request.extension(Arc::clone(connection));
        }
    }
    let body = match call.body {
        None => Body::empty(),
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        }
    };
    request.body(body).ok()
}

async fn answer(response: Response) -> ToolAnswer {
    let is_success = response.status().is_success();
    let body = Limited::new(response.into_body(), MAX_TOOL_ANSWER_BYTES);
    match body.collect().await {
        Ok(body) => ToolAnswer {
            is_success,
            body: serde_json::from_slice(&body.to_bytes()).unwrap_or_default(),
        },
        Err(error) if error.is::<LengthLimitError>() => ToolAnswer::failure(&format!(
            "the answer has more than {MAX_TOOL_ANSWER_BYTES} bytes; ask for fewer hits, or for fewer parts of them"
        )),
        Err(_) => ToolAnswer::failure("the answer broke off"),
    }
}
