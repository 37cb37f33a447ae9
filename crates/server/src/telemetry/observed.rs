//! What goes around every request, so that others can see what its time went into.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Span;

use super::slow_queries::{AnsweredQuery, SlowQueries};
use super::timeline::Timeline;
use super::traces::{RequestTrace, Traces};
use crate::access::{Need, Scope, need_of};
use crate::config::LogSettings;
use crate::metrics;
use crate::routes::health::is_probe;

/// Who is told what a request's time went into.
#[derive(Debug)]
pub(crate) struct Observers {
    slow_queries: Option<SlowQueries>,
    traces: Option<Traces>,
}

impl Observers {
    /// As the settings say.
    pub(crate) fn new(log: &LogSettings, traces: Option<Traces>) -> Self {
        Self {
            slow_queries: log.slow_query().map(SlowQueries::new),
            traces,
        }
    }

    fn are_none(&self) -> bool {
        self.slow_queries.is_none() && self.traces.is_none()
    }

    /// The trace of a request, if it is to have one. Those who only look whether the service is there do so all the time.
    fn trace(&self, method: &'static str, route: &str, request: &Request) -> Option<RequestTrace> {
        let traces = self.traces.as_ref()?;
        let is_told = !is_probe(route) && route != "/metrics";
        let trace = is_told.then(|| traces.begin(method, route, request.headers()))?;
        Span::current().record("trace_id", trace.id());
        Some(trace)
    }
}

/// Gives a request its timeline, and tells the observers when its answer begins.
pub(crate) async fn observed(
    State(observers): State<Arc<Observers>>,
    request: Request,
    next: Next,
) -> Response {
    if observers.are_none() {
        return next.run(request).await;
    }
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("", MatchedPath::as_str);
    let method = metrics::method_label(request.method());
    let trace = observers.trace(method, route, &request);
    let timeline = Timeline::begin();
    let mut response = Arc::clone(&timeline).during(next.run(request)).await;
    let (took, parts) = (timeline.elapsed(), timeline.parts());
    if let Some(log) = &observers.slow_queries
        && is_query(method, route)
    {
        let status = response.status().as_u16();
        let query = AnsweredQuery {
            method,
            route,
            status,
            took,
        };
        log.look_at(query, &parts);
    }
    if let Some(trace) = trace {
        response.headers_mut().extend(trace.traceparent());
        trace.end(response.status(), took, &parts);
    }
    response
}

/// Whether a route is there to ask for something: what stores and administers takes its time.
fn is_query(method: &str, route: &str) -> bool {
    matches!(need_of(method, route), Some(Need::Scope(Scope::Search, _)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_queries_and_writes_are_not() {
        for (method, route) in [
            ("POST", "/search"),
            ("GET", "/search"),
            ("POST", "/collections/{collection}/similarity"),
            ("POST", "/v1/embeddings"),
        ] {
            assert!(is_query(method, route), "{method} {route}");
        }
        for (method, route) in [
            ("POST", "/documents"),
            ("POST", "/snapshots"),
            ("GET", "/livez"),
            ("GET", "/metrics"),
            ("GET", ""),
        ] {
            assert!(!is_query(method, route), "{method} {route}");
        }
    }
}
