//! Streamed ingest: lines in, answers out, in order, in bounded memory.
//!
//! Lines are gathered into small windows. While one window is being stored the next is being
//! encoded, so that neither the encoder nor the disk waits for the other.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use futures_util::{Stream, StreamExt, stream};
use siamese_index::{DocumentDraft, OnDuplicate};
use tokio_util::task::AbortOnDropHandle;

use super::Cancel;
use super::ingest::{self, DocumentOutcome, Drafts, Prepared, WriteStatus};
use super::lines::{End, Line, LineReader, ROOM_PATIENCE};
use crate::access::metered;
use crate::app::App;
use crate::backend::Writer;
use crate::body_budget::BodyShare;
use crate::error::{ApiError, ErrorCode};
use crate::extract::parse_on_thread;
use crate::metrics;
use crate::queue::Admission;

/// Documents of one window: enough to fill forward passes and to share one flush, and few enough
/// that the first answers come soon.
const MAX_WINDOW_DOCUMENTS: usize = 64;
/// Text of one window, so that a window of long documents stays small in memory.
const MAX_WINDOW_BYTES: usize = 1 << 20;
/// Windows being encoded at the same time.
const WINDOWS_IN_FLIGHT: usize = 2;
/// How long a window that is not full waits for the next line.
const WINDOW_PATIENCE: Duration = Duration::from_millis(10);

/// Lines up to this size are parsed where they are read; it takes less than to hand them over.
const MAX_PARSED_AT_ONCE_BYTES: usize = 16 << 10;
/// What `Retry-After` would say when there was none.
const ROOM_RETRY_AFTER_S: u64 = 2;

/// Turns a line into a document to store, and says what memory it takes, bytes.
pub(crate) type ParseLine =
    Arc<dyn Fn(&[u8]) -> Result<(DocumentDraft, usize), ApiError> + Send + Sync>;

/// A document, and the memory that it takes, bytes.
type Parsed = Result<(DocumentDraft, usize), ApiError>;

/// What the client is told, in the order of its lines.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    /// A line's document is stored, durable and searchable.
    Stored { line: u64, outcome: DocumentOutcome },
    /// A line failed, alone.
    Failed { line: u64, error: ApiError },
    /// The stream ended before the client's last line.
    Interrupted(ApiError),
    /// The last event.
    Summary(StreamSummary),
}

/// Lines by outcome.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StreamSummary {
    pub(crate) created: u64,
    pub(crate) updated: u64,
    pub(crate) unchanged: u64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
    pub(crate) took: Duration,
}

impl StreamSummary {
    fn count(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::Stored { outcome, .. } => match outcome.status {
                WriteStatus::Created => self.created += 1,
                WriteStatus::Updated => self.updated += 1,
                WriteStatus::Unchanged => self.unchanged += 1,
                WriteStatus::Rejected => self.rejected += 1,
            },
            StreamEvent::Failed { .. } => {
                metrics::documents_written("failed", 1);
                self.failed += 1;
            }
            StreamEvent::Interrupted(_) | StreamEvent::Summary(_) => {}
        }
    }
}

/// Reads documents from `body` and stores them; a bad line fails alone.
pub(crate) fn ingest_stream(
    app: App,
    collection: Arc<Writer>,
    body: Body,
    parse: ParseLine,
    on_duplicate: Option<OnDuplicate>,
) -> impl Stream<Item = StreamEvent> + Send + 'static {
    let reader = LineReader::new(
        body,
        app.limits().max_line_bytes,
        app.settings().server.stream_idle_timeout,
        app.stopping(),
        app.body_budget().share(),
    );
    let given_up = Cancel::default();
    let windows = Windows {
        app: app.clone(),
        reader,
        parse,
        carried: None,
        finished: false,
        given_up: given_up.clone(),
    };
    let preparing = (app.clone(), Arc::clone(&collection));
    let events = stream::unfold(windows, Windows::next)
        .map(move |window| spawn_prepare(preparing.clone(), window))
        .buffered(WINDOWS_IN_FLIGHT)
        .then(move |window| {
            window_events(
                app.clone(),
                Arc::clone(&collection),
                window,
                on_duplicate,
                given_up.clone(),
            )
        })
        .flat_map(stream::iter);
    with_summary(events)
}

/// Appends the summary when the events end.
fn with_summary(
    events: impl Stream<Item = StreamEvent> + Send + 'static,
) -> impl Stream<Item = StreamEvent> + Send + 'static {
    let started_at = Instant::now();
    let state = Some((Box::pin(events), StreamSummary::default()));
    stream::unfold(state, move |state| async move {
        let (mut events, mut summary) = state?;
        match events.next().await {
            Some(event) => {
                summary.count(&event);
                Some((event, Some((events, summary))))
            }
            None => {
                summary.took = started_at.elapsed();
                Some((StreamEvent::Summary(summary), None))
            }
        }
    })
}

/// A few lines that are encoded and stored together.
#[derive(Debug)]
struct Window {
    /// Line numbers of `drafts`.
    numbers: Vec<u64>,
    drafts: Vec<Arc<DocumentDraft>>,
    failed: Vec<(u64, ApiError)>,
    interrupted: Option<ApiError>,
    bytes: usize,
    /// Its part of the memory for bodies.
    share: BodyShare,
}

impl Window {
    fn new(share: BodyShare) -> Self {
        Self {
            numbers: Vec::new(),
            drafts: Vec::new(),
            failed: Vec::new(),
            interrupted: None,
            bytes: 0,
            share,
        }
    }

    fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.failed.is_empty() && self.interrupted.is_none()
    }

    fn is_full(&self) -> bool {
        self.numbers.len() + self.failed.len() >= MAX_WINDOW_DOCUMENTS
            || self.bytes >= MAX_WINDOW_BYTES
    }

    fn push(&mut self, number: u64, (draft, bytes): (DocumentDraft, usize)) {
        self.bytes += bytes;
        self.numbers.push(number);
        self.drafts.push(Arc::new(draft));
    }
}

struct Windows {
    app: App,
    reader: LineReader,
    parse: ParseLine,
    /// A document whose id the window before it had already.
    carried: Option<(u64, (DocumentDraft, usize))>,
    finished: bool,
    /// Whether a window failed in a way that the next ones would, too.
    given_up: Cancel,
}

impl Windows {
    async fn next(mut self) -> Option<(Window, Self)> {
        if self.given_up.is_cancelled() {
            return None;
        }
        let mut window = Window::new(self.app.body_budget().share());
        let mut ids = HashSet::new();
        if let Some((number, parsed)) = self.carried.take() {
            ids.insert(parsed.0.id.clone());
            window.push(number, parsed);
        }
        while !self.finished && !window.is_full() {
            let Some(line) = self.line(!window.is_empty()).await else {
                break;
            };
            match line {
                Err(end) => self.finish(end, &mut window),
                Ok((number, Err(error))) => window.failed.push((number, error)),
                Ok((number, Ok(parsed))) if ids.insert(parsed.0.id.clone()) => {
                    window.push(number, parsed);
                }
                // The later line wins, so it goes into a later window.
                Ok((number, Ok(parsed))) => {
                    self.carried = Some((number, parsed));
                    break;
                }
            }
            if window
                .share
                .resize_in(window.bytes, ROOM_PATIENCE)
                .await
                .is_err()
            {
                self.finish(End::NoRoom, &mut window);
            }
        }
        if window.is_empty() {
            None
        } else {
            Some((window, self))
        }
    }

    /// The next line; `None` when a started window has waited long enough.
    async fn line(&mut self, window_has_lines: bool) -> Option<Result<(u64, Parsed), End>> {
        let line = if window_has_lines {
            tokio::time::timeout(WINDOW_PATIENCE, self.reader.next())
                .await
                .ok()?
        } else {
            self.reader.next().await
        };
        match line {
            Ok(line) => Some(Ok(parsed(Arc::clone(&self.parse), line).await)),
            Err(end) => Some(Err(end)),
        }
    }

    fn finish(&mut self, end: End, window: &mut Window) {
        self.finished = true;
        window.interrupted = match end {
            End::Complete => None,
            End::Broken => Some(ApiError::new(
                ErrorCode::MalformedJson,
                "the body broke off; what came after the last complete line was not read",
            )),
            End::Undecodable => Some(ApiError::new(
                ErrorCode::MalformedJson,
                "the body could not be decompressed further as its Content-Encoding says; what came after \
                 the last complete line was not read",
            )),
            End::NoRoom => Some(ApiError::overloaded(
                "bodies of other requests take limits.max_bodies_in_flight_bytes; later lines were not read",
                ROOM_RETRY_AFTER_S,
            )),
            End::Idle => Some(ApiError::new(
                ErrorCode::Timeout,
                "nothing came for server.stream_idle_timeout_ms; later lines were not read",
            )),
            End::Stopping => Some(ApiError::not_ready(
                "the server is stopping; later lines were not read",
            )),
        };
    }
}

/// Parses a line; a long one on a blocking thread.
async fn parsed(parse: ParseLine, line: Line) -> (u64, Parsed) {
    match line {
        Line::Text { number, bytes } if bytes.len() <= MAX_PARSED_AT_ONCE_BYTES => {
            (number, parse(&bytes))
        }
        Line::Text { number, bytes } => {
            let length = bytes.len();
            (number, parse_on_thread(length, move || parse(&bytes)).await)
        }
        Line::TooLong { number } => {
            let detail = "the line is over limits.max_line_bytes";
            (
                number,
                Err(ApiError::new(ErrorCode::PayloadTooLarge, detail)),
            )
        }
    }
}

/// A window whose documents have been encoded, or could not be.
struct PreparedWindow {
    numbers: Vec<u64>,
    drafts: Drafts,
    /// Kept until the window is stored.
    _share: BodyShare,
    prepared: Result<Prepared, ApiError>,
    failed: Vec<(u64, ApiError)>,
    interrupted: Option<ApiError>,
}

/// Encodes on a task of its own, which ends when the client hangs up.
async fn spawn_prepare((app, collection): (App, Arc<Writer>), window: Window) -> PreparedWindow {
    let drafts: Drafts = window.drafts.into();
    let shared = Arc::clone(&drafts);
    let preparing =
        async move { ingest::prepare(app.engine()?, &collection, shared, Admission::Wait).await };
    let task = AbortOnDropHandle::new(tokio::spawn(metered(preparing)));
    let prepared = task
        .await
        .unwrap_or_else(|error| Err(ApiError::internal(error)));
    PreparedWindow {
        numbers: window.numbers,
        drafts,
        _share: window.share,
        prepared,
        failed: window.failed,
        interrupted: window.interrupted,
    }
}

/// Stores a window and says what became of each of its lines, in order. Does nothing when the stream
/// has been given up, and gives it up when later windows would fail as this one does.
async fn window_events(
    app: App,
    collection: Arc<Writer>,
    mut window: PreparedWindow,
    on_duplicate: Option<OnDuplicate>,
    given_up: Cancel,
) -> Vec<StreamEvent> {
    if given_up.is_cancelled() {
        return Vec::new();
    }
    let mut events: Vec<(u64, StreamEvent)> = window
        .failed
        .into_iter()
        .map(|(line, error)| (line, StreamEvent::Failed { line, error }))
        .collect();
    let results = store(
        &app,
        &collection,
        window.drafts,
        window.prepared,
        on_duplicate,
    )
    .await;
    for (line, result) in window.numbers.into_iter().zip(results) {
        let event = match result {
            Ok(outcome) => StreamEvent::Stored { line, outcome },
            Err(error) => {
                if concerns_all(error.code()) {
                    given_up.cancel();
                    window.interrupted.get_or_insert_with(|| error.clone());
                }
                StreamEvent::Failed { line, error }
            }
        };
        events.push((line, event));
    }
    events.sort_by_key(|(line, _)| *line);
    let interrupted = window.interrupted.map(StreamEvent::Interrupted);
    events
        .into_iter()
        .map(|(_, event)| event)
        .chain(interrupted)
        .collect()
}

/// Stores all documents at once; when that fails, each alone, so that a bad one fails alone.
async fn store(
    app: &App,
    collection: &Arc<Writer>,
    drafts: Drafts,
    prepared: Result<Prepared, ApiError>,
    on_duplicate: Option<OnDuplicate>,
) -> Vec<Result<DocumentOutcome, ApiError>> {
    let engine = match app.engine() {
        Ok(engine) => engine,
        Err(error) => return vec![Err(error); drafts.len()],
    };
    let stored = match prepared {
        Ok(prepared) => {
            let admission = Admission::Wait;
            ingest::commit(engine, collection, prepared, on_duplicate, admission).await
        }
        Err(error) => Err(error),
    };
    let error = match stored {
        Ok(outcomes) => return outcomes.into_iter().map(Ok).collect(),
        Err(error) => error,
    };
    if drafts.len() == 1 || concerns_all(error.code()) {
        return vec![Err(error); drafts.len()];
    }
    let mut results = Vec::with_capacity(drafts.len());
    for draft in drafts.iter() {
        let alone = Arc::from([Arc::clone(draft)]);
        let stored = ingest::ingest(engine, collection, alone, on_duplicate, Admission::Wait).await;
        results.push(stored.and_then(|outcomes| {
            outcomes
                .into_iter()
                .next()
                .ok_or_else(|| ApiError::internal("no outcome"))
        }));
    }
    results
}

/// Whether an error has nothing to do with any one document, so that all others would fail, too.
fn concerns_all(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::StorageFull
            | ErrorCode::StorageFailed
            | ErrorCode::StorageMoved
            | ErrorCode::StorageStalled
            | ErrorCode::ClusterUnavailable
            | ErrorCode::MemoryFull
            | ErrorCode::ModelUnavailable
            | ErrorCode::NotReady
            | ErrorCode::CollectionNotFound
    )
}
