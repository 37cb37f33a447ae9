//! Streamed ingest on the wire: one JSON answer for each line.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::super::lines::NDJSON;
use super::input::DocumentInput;
use super::unread::{Omitted, buffered};
use super::write::DocumentResult;
use crate::access::CollectionName;
use crate::app::App;
use crate::connections::Connection;
use crate::error::{ApiError, Problem};
use crate::extract::parse_line;
use crate::service::{DuplicateRule, StreamEvent, ingest_stream};

/// One answer line.
#[derive(Serialize)]
#[serde(untagged)]
enum AnswerLine {
    Stored {
        line: u64,
        #[serde(flatten)]
        result: DocumentResult,
    },
    Failed {
        line: u64,
        status: &'static str,
        error: Problem,
    },
    Interrupted {
        error: Problem,
    },
    Omitted {
        omitted: Omitted,
    },
    Summary {
        summary: Summary,
    },
}

#[derive(Serialize)]
struct Summary {
    created: u64,
    updated: u64,
    unchanged: u64,
    rejected: u64,
    failed: u64,
    took_ms: f64,
}

/// Whether a media type means one JSON document a line.
pub(crate) fn is_ndjson(media_type: &str) -> bool {
    matches!(
        media_type,
        NDJSON | "application/ndjson" | "application/jsonl" | "application/x-jsonlines"
    )
}

/// Answers while the request is still being read.
///
/// # Errors
/// 404 and 503 before the first line is read; later failures are lines of the answer.
pub(super) async fn write(
    app: App,
    collection: &CollectionName,
    on_duplicate: DuplicateRule,
    request: Request,
) -> Result<Response, ApiError> {
    let collection = app.engine()?.writer(collection)?;
    let on_duplicate = on_duplicate.in_collection(&*collection.reader());
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let body = if request.headers().contains_key(header::EXPECT) {
        asked_for(request.into_body()).await
    } else {
        request.into_body()
    };
    let parse = {
        let app = app.clone();
        Arc::new(move |line: &[u8]| parse_line::<DocumentInput>(line, app.limits()))
    };
    let events = ingest_stream(app, collection, body, parse, on_duplicate);
    let lines = buffered(connection, events, answer_line, omitted_line).map(Ok::<_, Infallible>);
    let body = Body::from_stream(lines);
    Ok(([(header::CONTENT_TYPE, NDJSON)], body).into_response())
}

/// The same body, of which the connection knows that it is wanted. It tells a client that waits for leave
/// to send (`Expect: 100-continue`) only before the answer begins.
async fn asked_for(body: Body) -> Body {
    let mut pieces = body.into_data_stream();
    let first = poll_fn(|context| Poll::Ready(pieces.poll_next_unpin(context))).await;
    // The connection looks at it before this goes on.
    tokio::task::yield_now().await;
    match first {
        Poll::Ready(Some(first)) => Body::from_stream(stream::iter([first]).chain(pieces)),
        Poll::Ready(None) => Body::empty(),
        Poll::Pending => Body::from_stream(pieces),
    }
}

fn answer_line(event: StreamEvent) -> Bytes {
    let line = match event {
        StreamEvent::Stored { line, outcome } => AnswerLine::Stored {
            line,
            result: outcome.into(),
        },
        StreamEvent::Failed { line, error } => AnswerLine::Failed {
            line,
            status: "failed",
            error: error.of_line().problem(None),
        },
        StreamEvent::Interrupted(error) => AnswerLine::Interrupted {
            error: error.problem(None),
        },
        StreamEvent::Summary(summary) => AnswerLine::Summary {
            summary: Summary {
                created: summary.created,
                updated: summary.updated,
                unchanged: summary.unchanged,
                rejected: summary.rejected,
                failed: summary.failed,
                took_ms: summary.took.as_secs_f64() * 1000.0,
            },
        },
    };
    to_bytes(&line)
}

fn omitted_line(omitted: Omitted) -> Bytes {
    to_bytes(&AnswerLine::Omitted { omitted })
}

fn to_bytes(line: &AnswerLine) -> Bytes {
    let mut json = serde_json::to_vec(line).unwrap_or_default();
    json.push(b'\n');
    json.into()
}
