//! Ways in for the targets in `fuzz/`: readers of parts of requests, and the whole service without sockets.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use bytes::Bytes;
use futures_util::stream;
use siamese_index::Metadata;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tower::ServiceExt;

use crate::access::Access;
use crate::app::App;
use crate::body_budget::BodyBudget;
use crate::config::{Limits, Settings};
use crate::connections::ConnectionLimits;
use crate::error::ApiError;
use crate::extract::{JsonBody, parse_line};
use crate::queue::EncoderThreads;
use crate::routes::documents::DocumentInput;
use crate::routes::filter::FilterShape;
use crate::serve::{ServeError, load};
use crate::service::{End, Line, LineReader};
use crate::{ModelFolders, runtime};

/// Longest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 20;

impl JsonBody for FilterShape {
    type Checked = siamese_index::Filter;

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        self.read(limits, "/filter")
    }
}

/// Reads a filter as bodies have it. Returns whether a document with this metadata passes; `None` for what is
/// refused.
pub fn filter(filter: &[u8], metadata: &[u8], limits: &Limits) -> Option<bool> {
    match parse_line::<FilterShape>(filter, limits) {
        Ok((filter, _)) => {
            let metadata: Metadata = serde_json::from_slice(metadata).unwrap_or_default();
            Some(filter.matches(&metadata))
        }
        Err(error) => {
            error.problem(None);
            None
        }
    }
}

/// Reads a stream of documents that comes in pieces of so many bytes. Returns the number of each line that is
/// not blank, and whether it is a document.
///
/// # Errors
/// When the system gives no runtime.
pub fn documents(
    body: &[u8],
    piece_bytes: usize,
    limits: &Limits,
) -> std::io::Result<Vec<(u64, bool)>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let pieces = body.chunks(piece_bytes.max(1)).map(Bytes::copy_from_slice);
    let pieces: Vec<_> = pieces.map(Ok::<_, std::io::Error>).collect();
    let stopping = watch::Sender::new(false);
    let mut reader = LineReader::new(
        Body::from_stream(stream::iter(pieces)),
        limits.max_line_bytes,
        Duration::from_secs(60),
        stopping.subscribe(),
        BodyBudget::new(limits.max_bodies_in_flight_bytes).share(),
    );
    let mut lines = Vec::new();
    let end = runtime.block_on(async {
        loop {
            match reader.next().await {
                Ok(Line::TooLong { number }) => lines.push((number, false)),
                Ok(Line::Text { number, bytes }) => {
                    let document = parse_line::<DocumentInput>(&bytes, limits);
                    let document = document.map_err(|error| error.of_line().problem(None));
                    lines.push((number, document.is_ok()));
                }
                Err(end) => return end,
            }
        }
    });
    assert_eq!(end, End::Complete, "what has come whole is read to its end");
    Ok(lines)
}

/// A service that is ready, without sockets.
#[derive(Debug)]
pub struct Service {
    runtime: Runtime,
    router: Router,
    /// They end when they are dropped.
    _threads: EncoderThreads,
}

impl Service {
    /// Loads a model and opens the data folder that the settings name.
    ///
    /// # Errors
    /// As [`crate::serve`](fn@crate::serve).
    pub fn open(settings: &Settings, models: &ModelFolders) -> Result<Self, ServeError> {
        let runtime = runtime()?;
        let entered = runtime.enter();
        let access = Access::open(settings)?;
        let limits = ConnectionLimits::new(&settings.server, None);
        let (engine, threads) = load(settings, models, &crate::backend::Loading::default())?;
        let app = App::new(settings.clone(), limits, access, None);
        app.set_engine(engine);
        let router = crate::router(app);
        drop(entered);
        Ok(Self {
            runtime,
            router,
            _threads: threads,
        })
    }

    /// Answers a request: status and body. `None` for what no request can be, and for an answer that broke off.
    pub fn answer(
        &self,
        method: &str,
        address: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Option<(u16, Vec<u8>)> {
        let request = Request::builder().method(method).uri(address);
        let request = headers.iter().fold(
            request.header(header::HOST, "localhost"),
            |request, (name, value)| request.header(*name, *value),
        );
        let request = request.body(Body::from(body)).ok()?;
        self.runtime.block_on(async {
            let Ok(answer) = self.router.clone().oneshot(request).await;
            let (head, body) = answer.into_parts();
            let body = axum::body::to_bytes(body, MAX_ANSWER_BYTES).await.ok()?;
            Some((head.status.as_u16(), body.into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::config::Overrides;

    /// The inputs that a target begins with.
    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
        let files = fs_err::read_dir(folder.join(target)).unwrap();
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
            .iter()
            .map(|file| fs_err::read(file).unwrap())
            .collect()
    }

    fn settings() -> Settings {
        Settings::load(&Overrides::default()).unwrap()
    }

    #[test]
    fn filters_that_fuzzing_begins_with_pass_their_documents() {
        let limits = settings().limits;
        for seed in seeds("filter") {
            let (wanted, metadata) =
                seed.split_at(seed.iter().position(|it| *it == b'\n').unwrap());
            let said = filter(wanted, metadata, &limits);
            assert_eq!(said, Some(true), "{}", String::from_utf8_lossy(&seed));
        }
        assert_eq!(filter(b"{", b"{}", &limits), None);
    }

    #[test]
    fn documents_of_a_stream_are_told_from_other_lines() {
        let lines = b"{\"text\":\"a\"}\n\n{}\n{\"text\":\"b\"}";
        let read = documents(lines, 3, &settings().limits).unwrap();
        assert_eq!(read, [(1, true), (3, false), (4, true)]);
    }

    #[test]
    fn requests_that_fuzzing_begins_with_do_not_fail_the_service() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::load(&Overrides {
            data_dir: Some(folder.path().to_owned()),
            ..Overrides::default()
        });
        let model = "../encoder/tests/fixtures/models/model2vec";
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(model);
        let models = ModelFolders::new(model, |name| Err(name.to_owned()));
        let service = Service::open(&settings.unwrap(), &models).unwrap();
        let headers = [("content-type", "application/json")];
        let mut passed = 0;
        for seed in seeds("requests") {
            let request = String::from_utf8(seed).unwrap();
            let (line, body) = request.split_once('\n').unwrap();
            let (method, address) = line.split_once(' ').unwrap();
            let address = address.trim_end_matches(" ndjson");
            let answer = service.answer(method, address, &headers, body.into());
            let (status, answer) = answer.unwrap();
            assert!(status < 500, "{line}: {status} {answer:?}");
            passed += usize::from(status < 300);
        }
        assert!(passed > 10, "{passed}");
        assert!(
            service
                .answer("GET", "no address", &[], Vec::new())
                .is_none()
        );
    }
}
